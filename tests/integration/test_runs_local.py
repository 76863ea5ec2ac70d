"""Runs of this machine, looked at, followed and cancelled from another process; on both storages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRunStatus, JobDefinition

from maestro.errors import InputError, MaestroError
from maestro.runs.client import LaunchRequest, News
from maestro.runs.event import RunRecord
from maestro.runs.process import process_mark
from maestro.runs.resume import unfinished
from maestro.runs.tags import LOCAL_TAG, PARTITION_TAG, PROCESS_TAG, PROJECT_TAG
from maestro.runs.view import RunView, StepView
from maestro_defs.local import Resumption
from maestro_defs.local_cancel import cancel_run
from maestro_defs.local_runs import LocalRuns
from tests.integration import many_outcomes
from tests.integration.delivery import Delivery
from tests.integration.foreground import foreground_run
from tests.integration.many_outcomes import wait_for


@pytest.fixture
def runs(delivery: Delivery) -> Iterator[LocalRuns]:
    many_outcomes.make(delivery)
    with LocalRuns(delivery.project, delivery.profile) as opened:
        yield opened


def steps_of(view: RunView) -> dict[str, StepView]:
    return {step.step: step for step in view.steps}


def states_of(view: RunView) -> dict[str, str]:
    return {step.step: step.state for step in view.steps}


def test_a_run_shows_how_every_step_ended(runs: LocalRuns, delivery: Delivery) -> None:
    delivery.run()
    finished = delivery.run(who="world")
    view = runs.get("latest")
    assert view.run_id == finished.run_id
    assert (view.project, view.workflow, view.state, view.error) == ("shop", "many-outcomes", "succeeded", None)
    assert view.revision == delivery.git("rev-parse", "HEAD")
    assert view.params is not None
    assert view.params["who"] == "world"
    assert states_of(view) == {
        "build/make": "cached",
        "build/send": "passed",
        "test/lint": "warned",
        "test/flaky": "passed",
        "test/each/a": "cached",
        "test/each/b": "cached",
        "test/waits": "passed",
        "gate/flag": "passed",
        "finally/bye": "passed",
    }
    steps = steps_of(view)
    assert steps["test/flaky"].attempts == 2
    assert "3" in steps["test/lint"].summary
    assert steps["build/make"].started is not None
    assert view.steps[0].step == "build/make"
    assert view.steps[-1].step == "finally/bye"


def test_a_failed_run_shows_the_failed_step_what_was_undone_and_what_is_left_to_do(
    runs: LocalRuns, delivery: Delivery, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    first = delivery.run(flag=str(flag), deploy=True)
    view = runs.get(first.run_id[:8])
    states = states_of(view)
    assert (view.state, view.error) == ("failed", None)
    assert states["gate/flag"] == "failed"
    assert "4" in steps_of(view)["gate/flag"].summary
    assert states["deploy/ship"] == "skipped"
    assert steps_of(view)["deploy/ship"].summary == "a step before it failed"
    assert states["finally/bye"] == "passed"
    assert view.compensations == ("step build/send undone",)
    assert set(unfinished(view)) == {"build/send", "gate/flag", "deploy/ship", "finally/bye"}
    flag.touch()
    delivery.run(flag=str(flag), deploy=True, resumes=Resumption((first.run_id,), first.run_id))
    again = runs.get("latest")
    assert (again.state, again.resumes) == ("succeeded", first.run_id)
    assert [run.run_id for run in runs.list(5)] == [again.run_id, first.run_id]
    assert [run.run_id for run in runs.list(1)] == [again.run_id]


def test_a_run_can_be_followed_from_its_beginning_after_it_ended(runs: LocalRuns, delivery: Delivery) -> None:
    finished = delivery.run()
    news = list(runs.follow(finished.run_id))
    last = news[-1].run
    assert last == runs.get(finished.run_id)
    assert [one.step.state for one in news if one.step and one.step.step == "test/flaky" and one.text is None] == [
        "waiting",
        "running",
        "retrying",
        "running",
        "passed",
    ]
    lines = [(one.step.step, one.text) for one in news if one.step and one.text is not None]
    assert ("build/make", "hello world") in lines
    assert ("test/waits", "half and half") in lines
    assert [text for step, text in lines if step == "test/flaky"] == ["try 1", "try 2"]
    retried = next(one.step for one in news if one.step and one.step.state == "retrying")
    assert retried.summary == "attempt 1 failed: exit code 1"
    assert b"".join(runs.log("latest", "waits")) == b"before\nhalf and half\nafter\n"
    only = [one for one in runs.follow(finished.run_id, steps=["each"], logs=False) if one.step]
    assert {one.step.step for one in only if one.step} == {"test/each/a", "test/each/b"}
    assert all(one.text is None for one in only)


def test_lines_are_seen_while_the_step_still_runs_whole_lines_only(
    runs: LocalRuns, delivery: Delivery, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with foreground_run(delivery, gate=str(gate)) as process:
        run = wait_for(lambda: runs.list(1))[0]
        seen: list[News] = []
        for news in runs.follow(run.run_id, steps=["test/waits"]):
            seen.append(news)
            if news.text == "before":
                assert not gate.exists()
                assert runs.get(run.run_id).state == "running"
                assert states_of(runs.get(run.run_id))["test/waits"] == "running"
                gate.touch()
        assert process.wait(30) == 0
    assert [news.text for news in seen if news.text is not None] == ["before", "half and half", "after"]
    assert seen[-1].run is not None
    assert seen[-1].run.state == "succeeded"


def test_cancel_stops_the_process_waits_and_what_was_done_is_undone(
    runs: LocalRuns, delivery: Delivery, tmp_path: Path
) -> None:
    with foreground_run(delivery, gate=str(tmp_path / "never")) as process:
        run = wait_for(lambda: runs.list(1))[0]
        next(news for news in runs.follow(run.run_id) if news.text == "before")
        view = runs.cancel(run.run_id)
        process.wait(30)
    assert view.state == "cancelled"
    assert states_of(view)["test/waits"] == "failed"
    assert view.compensations == ("step build/send undone",)
    assert states_of(runs.get(run.run_id))["finally/bye"] == "passed"
    with pytest.raises(InputError, match="has already ended: it was cancelled"):
        runs.cancel(run.run_id)


def test_cancel_by_force_kills_the_process_and_marks_the_run(
    runs: LocalRuns, delivery: Delivery, tmp_path: Path
) -> None:
    with foreground_run(delivery, gate=str(tmp_path / "never")) as process:
        run = wait_for(lambda: runs.list(1))[0]
        next(news for news in runs.follow(run.run_id) if news.text == "before")
        view = runs.cancel(run.run_id, force=True)
        assert not psutil.pid_exists(process.pid)
    assert view.state == "cancelled"
    assert view.finished
    assert states_of(view)["test/waits"] == "failed"


def test_a_run_whose_process_was_killed_has_failed_and_followers_hear_of_it(
    runs: LocalRuns, delivery: Delivery, tmp_path: Path
) -> None:
    with foreground_run(delivery, gate=str(tmp_path / "never")) as process:
        run = wait_for(lambda: runs.list(1))[0]
        following = runs.follow(run.run_id)
        next(news for news in following if news.text == "before")
        process.kill()
        process.wait(30)
        last = list(following)[-1].run
    assert last is not None
    assert last.state == "failed"
    assert (
        last.error
        == f"its process ended without a word; `maestro retry {run.run_id}` goes on at its first unfinished step"
    )
    assert runs.list(1)[0].state == "failed"
    assert states_of(last)["test/waits"] == "failed"
    assert states_of(last)["gate/flag"] == "skipped"
    assert runs.cancel(run.run_id).state == "cancelled"


def test_a_run_of_another_machine_is_not_touched_unless_by_force(runs: LocalRuns, delivery: Delivery) -> None:
    mark = "elsewhere " + process_mark().split(" ", 1)[1]
    run_id = _started(runs.instance, delivery, {LOCAL_TAG: mark, PROCESS_TAG: mark})
    assert runs.get(run_id).state == "running"
    with pytest.raises(MaestroError, match="is carried out on elsewhere") as refused:
        runs.cancel(run_id)
    assert refused.value.next_step is not None
    assert "--force" in refused.value.next_step
    assert runs.get(run_id).state == "running"
    assert runs.cancel(run_id, force=True).state == "cancelled"


def test_a_run_whose_launcher_is_gone_says_so_and_can_be_marked(runs: LocalRuns, delivery: Delivery) -> None:
    tags = {".dagster/grpc_info": '{"host": "localhost", "socket": "/nowhere/at/all"}'}
    run_id = _started(runs.instance, delivery, tags)
    with pytest.raises(MaestroError, match="cannot be reached: the server that launched it does not answer"):
        cancel_run(runs.instance, _record(runs, run_id), force=False, unreachable=0.1)
    assert runs.cancel(run_id, force=True).state == "cancelled"


def test_only_a_name_that_means_one_run_or_step_is_taken(runs: LocalRuns, delivery: Delivery) -> None:
    with pytest.raises(InputError, match="there is no run yet"):
        runs.get("latest")
    delivery.run()
    with pytest.raises(InputError, match="there is no run 'zzz'"):
        runs.get("zzz")
    with pytest.raises(InputError, match="there is no run '00000000-0000-0000-0000-000000000000'"):
        runs.get("00000000-0000-0000-0000-000000000000")
    with pytest.raises(InputError, match="the run has no step 'flakey'") as unknown:
        list(runs.log("latest", "flakey"))
    assert unknown.value.next_step is not None
    assert "did you mean" in unknown.value.next_step
    with pytest.raises(InputError, match="'each' are several steps: test/each/a, test/each/b"):
        list(runs.log("latest", "each"))
    with pytest.raises(InputError, match="the run has no step 'flakey'"):
        list(runs.follow("latest", steps=["flakey"]))


def test_several_runs_that_begin_alike_are_told_apart(runs: LocalRuns, delivery: Delivery) -> None:
    first = _started(runs.instance, delivery, {})
    second = runs.instance.create_run_for_job(
        job_def=_job(), run_id=first[:-1] + ("0" if first[-1] != "0" else "1"), tags={}
    ).run_id
    with pytest.raises(InputError, match=f"2 runs begin with '{first[:10]}'"):
        runs.get(first[:10])
    assert runs.get(second).run_id == second


def test_nothing_is_launched_on_this_machine(runs: LocalRuns) -> None:
    with pytest.raises(MaestroError, match="carried out in the foreground"):
        runs.launch(LaunchRequest("shop", "many-outcomes", "HEAD", ["build/make"]))


def _job() -> JobDefinition:
    import dagster as dg

    @dg.op
    def nothing() -> None:
        pass

    @dg.job
    def other() -> None:
        nothing()

    return other


def _started(instance: DagsterInstance, delivery: Delivery, tags: dict[str, str]) -> str:
    """A run that looks as if it were being carried out."""
    about = {PROJECT_TAG: "shop", PARTITION_TAG: delivery.git("rev-parse", "HEAD")}
    return instance.create_run_for_job(job_def=_job(), tags={**about, **tags}, status=DagsterRunStatus.STARTED).run_id


def _record(runs: LocalRuns, run_id: str) -> RunRecord:
    from maestro_defs.local_reader import LocalReader

    record = LocalReader(runs.instance, "shop").record(run_id)
    assert record is not None
    return record
