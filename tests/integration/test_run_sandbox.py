"""A sandboxed step of a real run: what it sees, what comes back, and that it refuses without bubblewrap."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from maestro.profile import load_profile
from tests.integration.delivery import Delivery
from tests.loopback import Handler, serving


@pytest.fixture
def shop(tmp_path: Path) -> Delivery:
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root, load_profile("default"))
    made.git("init", "-q", "-b", "main")
    return made


def test_a_sandboxed_step_reads_the_source_and_leaves_its_outputs_and_nothing_else(shop: Delivery) -> None:
    shop.write({"source.txt": "source\n"}, commit=False)
    shop.workflow("""
        name: flow
        project: shop
        stages:
          - name: build
            steps:
              - {id: before, run: shell, with: {command: 'mkdir -p dist; echo one > dist/one'}, outputs: [dist/one]}
              - id: boxed
                run: shell
                sandbox: true
                with: {command: 'cat source.txt dist/one > both; echo stray > stray; echo "lines=2" >> $MAESTRO_OUTPUT'}
                outputs: [both]
        """)
    run = shop.run()
    assert run.passed, run.failures() + str(run.logs)
    assert (shop.root / "both").read_text() == "source\none\n"
    assert not (shop.root / "stray").exists()
    assert run.records["build/boxed"].values == {"lines": "2"}


def test_the_network_and_the_parents_files_are_out_of_reach(shop: Delivery, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private")
    with serving(Handler) as url:
        port = url.rpartition(":")[2]
        shop.workflow(f"""
            name: flow
            project: shop
            stages:
              - name: build
                parallel:
                  - id: net
                    run: shell
                    sandbox: true
                    with: {{command: 'exec 3<>/dev/tcp/127.0.0.1/{port}'}}
                  - {{id: file, run: shell, sandbox: true, with: {{command: 'cat {tmp_path}/private'}}}}
                  - {{id: free, run: shell, with: {{command: 'exec 3<>/dev/tcp/127.0.0.1/{port}; cat {tmp_path}/private'}}}}
            """)
        run = shop.run()
    assert not run.records["build/net"].passed
    assert not run.records["build/file"].passed
    assert run.records["build/free"].passed, run.logs


def test_without_bubblewrap_the_run_refuses_and_names_the_package(
    shop: Delivery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop.workflow("""
        name: flow
        project: shop
        stages:
          - name: build
            steps:
              - {id: boxed, run: shell, sandbox: true, with: {command: 'true'}}
        """)
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for tool in ("bash", "git", "sh"):
            if (Path(folder) / tool).exists() and not (tools / tool).exists():
                (tools / tool).symlink_to(Path(folder) / tool)
    monkeypatch.setenv("PATH", str(tools))
    assert "bwrap is missing: apt-get install bubblewrap" in shop.plan().missing
    run = shop.run()
    assert run.status == DagsterRunStatus.FAILURE
    assert "bubblewrap" in run.failures()
