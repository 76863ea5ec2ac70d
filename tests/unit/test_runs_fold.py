"""From events to what is shown of a run."""

from __future__ import annotations

from typing import Any

import pytest

from maestro.runs.event import RunEvent, RunRecord, run_record
from maestro.runs.fold import RunFold, plain_view
from maestro.runs.lines import Lines
from maestro.runs.resume import unfinished
from maestro.runs.view import StepView


def record(status: str, **changes: Any) -> RunRecord:
    members: dict[str, Any] = {
        "run_id": "the-run",
        "root_run_id": None,
        "parent_run_id": None,
        "job": "flow",
        "status": status,
        "tags": {"maestro/project": "shop", "dagster/partition": "abc"},
        "assets": [],
        "config": {},
        "times": (1.0009, 2.0, None),
    }
    return run_record(**{**members, **changes})


def folded(*events: RunEvent) -> RunFold:
    fold = RunFold("the-run")
    for event in events:
        fold.take(event)
    return fold


def planned(*names: str) -> list[RunEvent]:
    return [
        RunEvent("ASSET_MATERIALIZATION_PLANNED", 1.0, key(name), asset=("shop", *name.split("/"))) for name in names
    ]


def key(name: str) -> str:
    return name.replace("/", "__").replace("-", "_")


def about(kind: str, name: str, **changes: Any) -> RunEvent:
    return RunEvent(kind, 2.0, key(name), **changes)


def only(fold: RunFold, status: str) -> StepView:
    (step,) = fold.view(record(status)).steps
    return step


def test_a_step_is_called_by_its_asset_not_by_its_step_key() -> None:
    fold = folded(*planned("build/make-it"), about("STEP_START", "build/make-it"))
    assert only(fold, "STARTED") == StepView("build/make-it", "running", attempts=1, started=2.0)


def test_a_step_that_leaves_nothing_behind_was_skipped_for_the_reason_it_gives() -> None:
    told = about("ASSET_OBSERVATION", "a/b", metadata={"skipped": "when is false"})
    fold = folded(*planned("a/b"), about("STEP_START", "a/b"), told, about("STEP_SUCCESS", "a/b"))
    step = only(fold, "SUCCESS")
    assert (step.state, step.summary) == ("skipped", "when is false")


@pytest.mark.parametrize(
    ("blocking", "last", "state"), [(True, "STEP_FAILURE", "failed"), (False, "STEP_SUCCESS", "warned")]
)
def test_a_failed_check_fails_its_step_or_warns(blocking: bool, last: str, state: str) -> None:
    check = about("ASSET_CHECK_EVALUATION", "a/b", passed=False, blocking=blocking, metadata={"summary": "2 failed"})
    fold = folded(*planned("a/b"), about("ASSET_MATERIALIZATION", "a/b"), check, about(last, "a/b", error="internal"))
    assert (only(fold, "SUCCESS").state, only(fold, "SUCCESS").summary) == (state, "2 failed")


def test_what_a_finished_run_left_open_is_closed() -> None:
    fold = folded(*planned("a/b", "a/c"), about("STEP_START", "a/b"))
    states = {step.step: (step.state, step.summary) for step in fold.view(record("CANCELED")).steps}
    assert states == {"a/b": ("failed", "the run was cancelled"), "a/c": ("skipped", "the run was cancelled")}
    states = {step.step: (step.state, step.summary) for step in fold.view(record("FAILURE")).steps}
    assert states == {"a/b": ("failed", "its process ended"), "a/c": ("skipped", "the run ended before it")}


def test_a_finally_step_that_was_run_late_shows_how_it_ended() -> None:
    def late(outcome: str) -> RunEvent:
        return RunEvent(
            "ENGINE_EVENT", 3.0, None, f"Finally: step finally/bye {outcome}", metadata={"step": "finally/bye"}
        )

    for outcome, state, summary in (
        ("passed", "passed", ""),
        ("failed: exit code 1", "failed", "exit code 1"),
        ("skipped: not wanted", "skipped", "not wanted"),
        ("could not be run: no bash", "failed", "could not be run: no bash"),
    ):
        step = only(folded(*planned("finally/bye"), late(outcome)), "FAILURE")
        assert (step.state, step.summary) == (state, summary)


def test_a_timeout_is_why_a_run_failed() -> None:
    reason = "the run took longer than its timeout of 3 s"
    fold = folded(*planned("a/b"), RunEvent("ENGINE_EVENT", 2.0, None, f"Stopping: {reason}"))
    assert fold.view(record("FAILURE")).error == reason


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("NOT_STARTED", "queued"),
        ("QUEUED", "queued"),
        ("STARTING", "queued"),
        ("STARTED", "running"),
        ("CANCELING", "cancelling"),
        ("SUCCESS", "succeeded"),
        ("FAILURE", "failed"),
        ("CANCELED", "cancelled"),
    ],
)
def test_dagsters_states_have_maestros_names(status: str, state: str) -> None:
    assert plain_view(record(status)).state == state


def test_parameters_come_from_the_tag_else_from_the_configuration() -> None:
    config = {"resources": {"params": {"config": {"who": "config"}}}}
    assert record("SUCCESS", config=config).params == {"who": "config"}
    assert record("SUCCESS", config=config, tags={"maestro/params": '{"who": "tag"}'}).params == {"who": "tag"}
    assert record("SUCCESS", config=None, tags={"maestro/params": "not JSON"}).params is None


def test_times_are_whole_milliseconds() -> None:
    assert record("SUCCESS").created == 1.0


def test_what_was_undone_is_to_be_done_again() -> None:
    fold = folded(
        *planned("a/b", "a/c"),
        about("ASSET_MATERIALIZATION", "a/b"),
        about("STEP_SUCCESS", "a/b"),
        about("ASSET_MATERIALIZATION", "a/c", metadata={"cache": "hit"}),
        about("STEP_SUCCESS", "a/c"),
        RunEvent("ENGINE_EVENT", 3.0, None, "Compensation: step a/b undone"),
    )
    assert unfinished(fold.view(record("FAILURE"))) == ("a/b",)


def test_lines_are_whole_and_the_last_one_waits_for_its_end() -> None:
    lines = Lines()
    assert lines.take(b"one\r\ntw") == ["one"]
    assert lines.take(b"o \xc3") == []
    assert lines.take(b"\xa9\nthree") == ["two é"]
    assert lines.rest() == ["three"]
    assert lines.rest() == []
    assert lines.take(b"x" * 300_000) == ["x" * 300_000]
