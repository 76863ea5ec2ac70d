"""Steps of somebody else's fork: what they get of the server, and what they can leave behind for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maestro.execution.errors import StepError
from maestro.execution.log import StepLog
from maestro.execution.request import Bounds
from maestro.execution.session import RunSession
from maestro.execution.step import Outcome, run_step
from maestro.profile import load_profile
from maestro.steps import Registry, StepKind
from maestro.steps.kind import BaseParams, StepContext, StepResult
from tests.integration.delivery import Delivery


@pytest.fixture
def shop(tmp_path: Path) -> Delivery:
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root, load_profile("default"))
    made.git("init", "-q", "-b", "main")
    (tmp_path / "private").write_text("KEY=tell-nobody\n")
    return made


def flow(shop: Delivery, step: str) -> None:
    shop.workflow(
        f"""\
        name: flow
        project: shop
        secrets: [TOKEN]
        stages:
          - name: all
            steps:
              - {step}
        """
    )


_BOUNDS = Bounds()


def carried_out(shop: Delivery, *, untrusted: bool = True, bounds: Bounds = _BOUNDS) -> tuple[Outcome, str]:
    """How the only step ended, and its log."""
    log_file = shop.root.parent / "log"
    log_file.unlink(missing_ok=True)
    with shop.session() as session:
        request = replace(session.request, untrusted=untrusted, bounds=bounds)
        strange: RunSession = replace(session, request=request)
        log = StepLog(log_file, strange.masker)
        try:
            (node,) = strange.graph
            return run_step(strange, node, log), log_file.read_text()
        finally:
            log.close()
            strange.close()


@pytest.mark.parametrize("target", ["PRIVATE", "/proc/self/environ"])
def test_a_step_cannot_have_the_worker_read_a_file_for_it(shop: Delivery, target: str) -> None:
    target = target.replace("PRIVATE", str(shop.root.parent / "private"))
    flow(shop, f"{{id: one, run: shell, with: {{command: 'ln -sf {target} $MAESTRO_OUTPUT'}}}}")
    outcome, log = carried_out(shop)
    assert outcome.record is not None
    assert (outcome.record.passed, outcome.record.values) == (True, {})
    assert "took away output, which leads out of what the step may see" in log


def test_a_pipe_in_place_of_a_file_does_not_hold_the_worker(shop: Delivery) -> None:
    flow(shop, "{id: one, run: shell, with: {command: 'rm $MAESTRO_OUTPUT; mkfifo $MAESTRO_OUTPUT'}}")
    outcome, _ = carried_out(shop)
    assert outcome.record is not None
    assert outcome.record.passed


def test_what_a_step_is_lent_by_the_server_holds_no_credentials(
    shop: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://ci:hunter2@packages.example/simple")
    flow(shop, "{id: one, run: shell, with: {command: 'echo index=$PIP_INDEX_URL'}}")
    assert "index=\n" in carried_out(shop)[1]
    assert "index=https://ci:hunter2@" in carried_out(shop, untrusted=False)[1]


def test_the_network_a_step_asks_for_is_the_servers_to_give(shop: Delivery) -> None:
    flow(shop, "{id: one, run: shell, sandbox: true, network: true, with: {command: 'readlink /proc/self/ns/net'}}")
    _, log = carried_out(shop)
    assert "without the network: this server gives none to steps of forks" in log
    own = Path("/proc/self/ns/net").readlink()
    assert str(own) not in log
    assert str(own) in carried_out(shop, bounds=Bounds(network=True))[1]


@pytest.mark.parametrize("own", ["", "timeout: 1h, "])
def test_a_step_cannot_hold_its_place_for_ever(shop: Delivery, own: str) -> None:
    flow(shop, f"{{id: one, run: shell, {own}with: {{command: 'sleep 600'}}}}")
    outcome, log = carried_out(shop, bounds=Bounds(seconds=0.5))
    assert outcome.record is not None
    assert not outcome.record.passed
    assert "took longer than its timeout of 0.5 s" in log


def test_a_result_that_was_made_with_a_secret_is_not_taken_from_the_cache(
    shop: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "tell-nobody")
    flow(
        shop,
        "{id: one, run: shell, sandbox: true, secrets: [TOKEN], with: {command: 'echo $TOKEN > made'}, outputs: [made]}",
    )
    made, _ = carried_out(shop, untrusted=False)
    assert made.record is not None
    again, _ = carried_out(shop, untrusted=False)
    assert again.record is not None
    assert again.record.cache == "hit"
    with pytest.raises(StepError, match="gets none"):
        carried_out(shop)


def test_a_kind_that_works_in_the_worker_itself_is_refused(shop: Delivery) -> None:
    def run(context: StepContext, _params: BaseParams) -> StepResult:
        raise AssertionError("it ran")

    kind = StepKind("reaches.out", "1", BaseParams, run, "Reaches out.", lambda _params: "Reaches out.")
    known = Registry()
    shop.make_registry = lambda: Registry([kind, known.get("shell")])
    flow(shop, "{id: one, run: reaches.out}")
    with pytest.raises(StepError, match=r"step 'all/one' is of kind 'reaches.out', which works outside of a sandbox"):
        carried_out(shop)


def test_a_kind_that_is_for_forks_has_no_language_models_there(shop: Delivery) -> None:
    def run(context: StepContext, _params: BaseParams) -> StepResult:
        raise AssertionError(f"it has {context.models}")

    kind = StepKind("asks", "1", BaseParams, run, "Asks.", lambda _params: "Asks.", confined=True)
    known = Registry()
    shop.make_registry = lambda: Registry([kind, known.get("shell")])
    flow(shop, "{id: one, run: asks}")
    with pytest.raises(StepError, match="asks a language model, and a run of somebody else's fork asks none"):
        carried_out(shop)
    with pytest.raises(StepError, match="it has <"):
        carried_out(shop, untrusted=False)


@pytest.mark.parametrize(
    "name",
    [
        "image.build",
        "image.copy",
        "container.build",
        "attest.attach",
        "gate",
        "llm.generate",
        "litellm.generate",
        "ollama.generate",
        "evals.run",
    ],
)
def test_kinds_that_use_the_servers_credentials_are_not_for_forks(name: str) -> None:
    assert not Registry().get(name).confined


@pytest.mark.parametrize("name", ["shell", "test.unit", "build.python", "build.typescript", "scan.secrets"])
def test_kinds_that_work_in_processes_alone_are(name: str) -> None:
    assert Registry().get(name).confined


def test_planning_a_strangers_commit_starts_none_of_its_programs(shop: Delivery) -> None:
    mark = shop.root.parent / "ran"
    shop.write(
        {".venv/bin/python": f"#!/bin/sh\ntouch {mark}\n", "pyproject.toml": "[tool.pytest.ini_options]\n"},
        commit=False,
    )
    (shop.root / ".venv/bin/python").chmod(0o755)
    (shop.root / "tests").mkdir()
    (shop.root / "tests/test_a.py").write_text("def test(): pass\n")
    (shop.root / "package.json").symlink_to(shop.root.parent / "private")
    flow(shop, "{id: one, run: test.unit, with: {framework: pytest}}")
    with shop.session() as session:
        from maestro.execution.planner import make_plan

        strange: RunSession = replace(session, request=replace(session.request, untrusted=True))
        assert [step.action for step in make_plan(strange).steps] == ["run"]
        strange.close()
    assert not mark.exists()
    assert not (shop.root / "package.json").is_symlink()
