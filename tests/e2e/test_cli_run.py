"""``maestro plan``, ``run``, ``status``, ``logs`` and ``retry`` as a person uses them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.e2e.cli_process import gone, started, until
from tests.e2e.product import Product

WORKFLOW = """
    name: shop
    project: shop
    params:
      level: {type: integer, default: 1}
      names: {type: list, default: [a]}
    stages:
      - name: build
        steps:
          - id: compile
            run: shell
            inputs: [src/**]
            outputs: [out/result.txt]
            with: {command: 'mkdir -p out; cat src/* > out/result.txt; echo compiled'}
      - name: test
        parallel:
          - id: fast
            run: shell
            inputs: [src/**]
            with: {command: 'echo level {{ params.level }} {{ params.names[0] }}'}
          - {id: docs, run: shell, inputs: [docs/**], with: {command: 'test -e docs/index.md'}}
"""
FILES = {
    "maestro.yaml": WORKFLOW,
    "src/a.txt": "one\n",
    "docs/index.md": "hello\n",
    ".gitignore": "out/\nlocal.env\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Product:
    return Product.new(tmp_path / "shop", FILES)


def states(run: dict[str, object]) -> dict[str, str]:
    steps = run["steps"]
    assert isinstance(steps, list)
    return {step["step"]: step["state"] for step in steps}


def test_a_first_run_runs_everything_and_a_second_takes_everything_from_the_cache(shop: Product) -> None:
    plan = shop.installed("plan", "--json")
    assert [step["action"] for step in plan.json()["steps"]] == ["run", "run", "run"], plan.text
    assert set(states(shop.deliver_installed()).values()) == {"passed"}
    again = shop.installed("plan", "--json").json()
    assert [step["action"] for step in again["steps"]] == ["cached", "cached", "cached"]
    ended = shop.installed("run")
    assert ended.code == 0
    assert "succeeded" in ended.out
    assert "3 cached" in ended.out
    assert "\x1b" not in ended.text


def test_one_changed_file_runs_only_what_depends_on_it(shop: Product) -> None:
    shop.deliver()
    shop.write({"docs/index.md": "changed\n"})
    assert "changed: docs/index.md" in shop.maestro("plan").out
    found = states(shop.deliver())
    assert found == {"build/compile": "cached", "test/fast": "cached", "test/docs": "passed"}


def test_parameters_take_json_values_and_text(shop: Product) -> None:
    run = shop.deliver("--param", "level=7", "--param", 'names=["x y"]')
    assert run["params"] == {"level": 7, "names": ["x y"]}
    assert "level 7 x y" in shop.maestro("logs", "latest", "test/fast").out


def test_a_selection_brings_what_it_waits_for_unless_only(shop: Product) -> None:
    assert set(states(shop.deliver("test/fast"))) == {"build/compile", "test/fast"}
    assert set(states(shop.deliver("test", "--only"))) == {"test/fast", "test/docs"}


def test_another_revision_runs_in_a_checkout_of_its_own(shop: Product) -> None:
    first = shop.git("rev-parse", "HEAD")
    shop.write({"src/a.txt": "two\n"})
    shop.commit()
    run = shop.deliver("--revision", first)
    assert run["revision"] == first
    assert not (shop.root / "out").exists()
    assert len(shop.worktrees()) == 1
    got = shop.maestro("artifacts", "get", "compile", "out/result.txt", "--revision", first, "-o", "-")
    assert got.out == "one\n"


def test_a_failed_step_shows_the_end_of_its_log_and_the_exit_code_is_1(shop: Product) -> None:
    (shop.root / "docs/index.md").unlink()
    shop.write({"docs/other.md": "x\n", "maestro.yaml": WORKFLOW.replace("test -e docs", "seq 40; test -e docs")})
    ended = shop.maestro("run")
    assert ended.code == 1
    assert "✗ test/docs" in ended.out
    assert "| 40" in ended.out
    assert "| 21" in ended.out
    assert "| 20\n" not in ended.out
    assert "maestro logs" in ended.out
    assert "maestro retry" in ended.out


def test_retry_does_only_what_is_unfinished(shop: Product) -> None:
    waits = WORKFLOW.replace("test -e docs/index.md", "test -e local.env") + (
        "          - {id: after, run: shell, depends_on: [docs], with: {command: 'echo after'}}\n"
    )
    shop.write({"maestro.yaml": waits})
    shop.commit()
    failed = shop.maestro("run", "--json")
    assert failed.code == 1, failed.text
    assert states(failed.json())["test/after"] == "skipped"
    (shop.root / "local.env").write_text("", encoding="utf-8")
    again = shop.installed("retry", "--json")
    assert again.code == 0, again.text
    assert states(again.json()) == {"test/docs": "passed", "test/after": "passed"}
    assert again.json()["resumes"] == failed.json()["run_id"]
    refused = shop.maestro("retry")
    assert refused.code == 2
    assert "succeeded" in refused.err


def test_every_line_is_json_when_asked_and_carries_the_run(shop: Product) -> None:
    ended = shop.maestro("--log-format", "json", "run")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    names = {"time", "level", "run", "revision", "stage", "step", "attempt", "message"}
    assert all(names <= set(line) for line in lines)
    assert len({line["run"] for line in lines}) == 1
    compiled = [line for line in lines if line["message"] == "compiled"]
    assert [(line["stage"], line["step"], line["attempt"]) for line in compiled] == [("build", "build/compile", 1)]
    assert lines[-1]["message"] == "run succeeded"


def test_status_lists_runs_and_shows_one_and_logs_follow_it(shop: Product) -> None:
    run = shop.deliver()
    listed = shop.maestro("status", "--json").json()["runs"]
    assert [one["run_id"] for one in listed] == [run["run_id"]]
    assert shop.installed("status", "latest", "--json").json() == run
    shown = shop.maestro("status", str(run["run_id"])[:8]).out
    assert "build/compile" in shown
    assert "passed" in shown
    followed = shop.maestro("logs", "-f").out
    assert "compiled" in followed
    assert "succeeded" in followed


def test_a_missing_secret_and_a_missing_tool_are_said_before_anything_runs(shop: Product) -> None:
    needs = WORKFLOW.replace("project: shop", "project: shop\n    secrets: [TOKEN_OF_TEST]").replace(
        "{id: docs, run: shell,", "{id: docs, run: shell, secrets: [TOKEN_OF_TEST],"
    )
    shop.write({"maestro.yaml": needs})
    plan = shop.maestro("plan")
    assert plan.code == 0
    assert "set the environment variable TOKEN_OF_TEST" in plan.out
    ended = shop.maestro("run")
    assert ended.code == 2
    assert "nothing was run" in ended.err
    assert "TOKEN_OF_TEST" in ended.err
    assert shop.maestro("status", "--json").json() == {"runs": []}


def test_ctrl_c_cancels_the_run_kills_its_steps_and_the_exit_code_is_130(shop: Product) -> None:
    slow = WORKFLOW.replace("echo compiled", "echo $$ > out/pid; echo sleeping; sleep 300")
    shop.write({"maestro.yaml": slow})
    with started(shop, "run", "-v") as running:
        running.says("| sleeping")
        step = psutil.Process(int((shop.root / "out/pid").read_text("utf-8")))
        tree = [step, *step.children(recursive=True)]
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 130, running.text
    gone(tree)
    assert "cancelled" in running.text
    assert shop.maestro("status", "latest", "--json").json()["state"] == "cancelled"


def test_cancel_stops_a_run_of_another_process(shop: Product) -> None:
    shop.write({"maestro.yaml": WORKFLOW.replace("echo compiled", "echo sleeping; sleep 300")})
    with started(shop, "run", "-v") as running:
        running.says("| sleeping")
        refused = shop.maestro("retry")
        assert refused.code == 2
        assert "maestro cancel" in refused.err
        cancelled = shop.maestro("cancel")
        assert cancelled.code == 0, cancelled.text
        assert running.end() == 130, running.text
    nothing = shop.maestro("cancel")
    assert nothing.code == 2
    assert "no run is going on" in nothing.err


def test_a_run_whose_process_was_killed_shows_as_failed_and_can_be_resumed(shop: Product) -> None:
    once = "test -e local.env || { touch local.env; echo sleeping; sleep 300; }"
    shop.write({"maestro.yaml": WORKFLOW.replace("test -e docs/index.md", once)})
    with started(shop, "run", "-v") as running:
        running.says("| sleeping")
        until(lambda: "✓ test/fast" in running.text, "the other step is done")
        os.kill(running.process.pid, signal.SIGKILL)
        running.end()
    shown = shop.maestro("status", "latest", "--json").json()
    assert shown["state"] == "failed"
    assert "ended without a word" in shown["error"]
    again = shop.maestro("retry", "--json")
    assert again.code == 0, again.text
    assert states(again.json()) == {"test/docs": "passed"}
