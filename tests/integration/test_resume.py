"""A resumed run starts at the first unfinished step, and an effect outside happens once."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from maestro.artifacts import EffectJournal
from maestro.execution.effects import effect_key
from maestro_defs.local import Resumption
from tests.integration.delivery import Delivery, Finished

WORKFLOW = """
    name: flow
    project: shop
    stages:
      - name: ship
        steps:
          - {id: build, run: shell, with: {command: 'echo build >> LOG; mkdir -p dist; echo v1 > dist/app'}, outputs: [dist/app], cache: false}
          - {id: deploy, run: shell, depends_on: [build], with: {command: 'echo deploy >> LOG'}, effects: EFFECTS}
          - {id: announce, run: shell, depends_on: [deploy], with: {command: 'test -e FLAG && cat dist/app >> LOG'}, cache: false}
    """


def write(delivery: Delivery, tmp_path: Path, effects: str = "true") -> Path:
    log = tmp_path / "log"
    text = WORKFLOW.replace("LOG", str(log)).replace("FLAG", str(tmp_path / "flag"))
    delivery.workflow(text.replace("EFFECTS", effects))
    return log


def resume(delivery: Delivery, run: Finished, *selection: str, **more: list[str]) -> Finished:
    return delivery.run(
        resumes=Resumption((run.run_id,), run.run_id),
        selection=selection,
        redo=more.get("redo", ()),
        assume_done=more.get("assume_done", ()),
    )


def test_a_resumed_run_does_only_what_is_unfinished(delivery: Delivery, tmp_path: Path) -> None:
    log = write(delivery, tmp_path)
    first = delivery.run()
    assert first.status == DagsterRunStatus.FAILURE
    (tmp_path / "flag").touch()
    (delivery.root / "dist" / "app").unlink()
    second = resume(delivery, first, "ship/announce")
    assert second.passed, second.failures()
    assert log.read_text().split() == ["build", "deploy", "v1"]


def test_an_effect_that_was_done_is_not_done_again(delivery: Delivery, tmp_path: Path) -> None:
    log = write(delivery, tmp_path)
    first = delivery.run()
    (tmp_path / "flag").touch()
    second = resume(delivery, first, "ship/deploy", "ship/announce")
    assert second.passed, second.failures()
    assert log.read_text().split().count("deploy") == 1
    assert f"its effect was done by run {first.run_id}" in second.logs["ship__deploy"]


def test_a_new_run_does_the_effect_anew(delivery: Delivery, tmp_path: Path) -> None:
    log = write(delivery, tmp_path)
    (tmp_path / "flag").touch()
    assert delivery.run().passed
    assert delivery.run().passed
    assert log.read_text().split().count("deploy") == 2


def interrupted(delivery: Delivery, tmp_path: Path) -> Finished:
    """A run whose deploy step was begun, and whose process died before it could tell how it ended."""
    first = delivery.run("build", only=True)
    with delivery.session() as session:
        object.__setattr__(session, "identity", type(session.identity)(first.run_id, first.run_id))
        key = effect_key(session, session.graph["ship/deploy"])
    EffectJournal(delivery.store()).start(key, {"step": "ship/deploy", "run": first.run_id})
    (tmp_path / "flag").touch()
    return first


def test_an_effect_nobody_can_vouch_for_stops_the_run_and_says_what_to_do(delivery: Delivery, tmp_path: Path) -> None:
    log = write(delivery, tmp_path)
    first = interrupted(delivery, tmp_path)
    second = resume(delivery, first, "ship/deploy", "ship/announce")
    assert second.status == DagsterRunStatus.FAILURE
    assert "whether it did is unknown" in second.failures()
    assert "--assume-done deploy" in second.failures()
    assert "deploy" not in log.read_text().split()


@pytest.mark.parametrize(("choice", "times"), [("redo", 1), ("assume_done", 0)])
def test_a_person_may_decide_about_it(delivery: Delivery, tmp_path: Path, choice: str, times: int) -> None:
    log = write(delivery, tmp_path)
    first = interrupted(delivery, tmp_path)
    second = resume(delivery, first, "ship/deploy", "ship/announce", **{choice: ["deploy"]})
    assert second.passed, second.failures()
    assert log.read_text().split().count("deploy") == times


@pytest.mark.parametrize(("happened", "times"), [(True, 1), (False, 1)])
def test_a_probe_finds_out(delivery: Delivery, tmp_path: Path, happened: bool, times: int) -> None:
    log = tmp_path / "log"
    write(delivery, tmp_path, f"{{probe: 'grep -q deploy {log}'}}")
    first = interrupted(delivery, tmp_path)
    if happened:
        log.write_text(log.read_text() + "deploy\n")
    second = resume(delivery, first, "ship/deploy", "ship/announce")
    assert second.passed, second.failures()
    assert log.read_text().split().count("deploy") == times


def test_a_probe_that_breaks_is_no_answer(delivery: Delivery, tmp_path: Path) -> None:
    write(delivery, tmp_path, "{probe: 'exit 7'}")
    first = interrupted(delivery, tmp_path)
    second = resume(delivery, first, "ship/deploy", "ship/announce")
    assert second.status == DagsterRunStatus.FAILURE
    assert "exit code 7" in second.failures()


def test_an_undone_step_is_done_again_when_the_run_is_resumed(delivery: Delivery, tmp_path: Path) -> None:
    log, flag = tmp_path / "log", tmp_path / "flag"
    delivery.workflow(f"""
        name: flow
        project: shop
        stages:
          - name: ship
            steps:
              - id: deploy
                run: shell
                with: {{command: 'echo deploy >> {log}'}}
                effects: true
                compensate: {{with: {{command: 'echo undo >> {log}'}}}}
              - {{id: announce, run: shell, with: {{command: 'test -e {flag}'}}, cache: false}}
        """)
    first = delivery.run()
    assert log.read_text().split() == ["deploy", "undo"]
    assert not first.records["ship/deploy"].passed
    flag.touch()
    assert resume(delivery, first, "ship/deploy", "ship/announce").passed
    assert log.read_text().split() == ["deploy", "undo", "deploy"]


def test_a_step_that_can_be_undone_is_never_taken_from_the_cache(delivery: Delivery, tmp_path: Path) -> None:
    log = tmp_path / "log"
    delivery.workflow(f"""
        name: flow
        project: shop
        stages:
          - name: ship
            steps:
              - {{id: make, run: shell, with: {{command: 'echo do >> {log}'}}, compensate: {{with: {{command: 'echo undo >> {log}'}}}}}}
        """)
    assert delivery.run().records["ship/make"].cache == "off"
    assert delivery.run().passed
    assert log.read_text().split() == ["do", "do"]
