"""Real workflows, launched as a server launches them: into workers that are forked, shared, asked, killed and left."""

from __future__ import annotations

import os
import signal

import pytest
from dagster import DagsterRunStatus
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus

from maestro_defs.launcher import DrainingError, left_runs
from maestro_defs.warm.records import Records
from tests.integration.delivery import Delivery
from tests.integration.warm_process import until
from tests.integration.warm_runs import BODY, Served, served

SHORT = """
    name: short
    project: shop
    stages:
      - name: build
        steps:
          - {id: make, run: shell, with: {command: 'echo made'}}
    """
LONG = """
    name: long
    project: shop
    stages:
      - name: work
        steps:
          - id: first
            run: shell
            cache: false
            with: {command: 'echo first >> {here}/first'}
            compensate: {run: shell, with: {command: 'echo undone >> {here}/undone'}}
          - id: second
            run: shell
            cache: false
            with: {command: 'echo second >> {here}/second; until test -e {here}/go; do sleep 0.05; done'}
          - {id: third, run: shell, cache: false, with: {command: 'echo third >> {here}/third'}}
    finally:
      - {id: report, run: shell, with: {command: 'echo reported >> {here}/reported'}}
    """


def worker_of(server: Served, run_id: str) -> int:
    record = Records(server.warm.home).get(run_id)
    assert record is not None
    return record.process.pid


def test_a_workflow_is_carried_out_in_a_forked_worker(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(delivery, monkeypatch, SHORT) as server:
        run_id = server.launch()
        assert server.ends(run_id) == DagsterRunStatus.SUCCESS, server.told(run_id)
        assert server.steps(run_id, "STEP_SUCCESS") == ["build__make"]
        server.warm.reaches(run_id, "ended")


def test_many_runs_in_one_worker_all_end_well(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(delivery, monkeypatch, SHORT, settings="launcher: {runs_per_worker: 8}") as server:
        runs = [server.launch() for _ in range(8)]
        for run_id in runs:
            assert server.ends(run_id) == DagsterRunStatus.SUCCESS, server.told(run_id)


def test_a_cancelled_run_undoes_and_reports_and_its_neighbour_goes_on(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(delivery, monkeypatch, LONG, settings="launcher: {runs_per_worker: 2}") as server:
        cancelled, neighbour = server.launch(), server.launch()
        assert worker_of(server, cancelled) == worker_of(server, neighbour)
        until(lambda: server.lines("second") == 2, lambda: server.told(cancelled) + server.told(neighbour))
        assert server.launcher.terminate(cancelled)
        assert server.ends(cancelled) == DagsterRunStatus.CANCELED, server.told(cancelled)
        assert server.file("undone").read_text() == "undone\n"
        assert server.file("reported").read_text() == "reported\n"
        assert server.run(neighbour).status == DagsterRunStatus.STARTED
        server.file("go").touch()
        assert server.ends(neighbour) == DagsterRunStatus.SUCCESS, server.told(neighbour)


def test_a_run_that_is_only_marked_as_cancelled_stops(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(delivery, monkeypatch, LONG) as server:
        run_id = server.launch()
        server.appears("second", run_id)
        server.instance.report_run_canceling(server.run(run_id))
        assert server.ends(run_id) == DagsterRunStatus.CANCELED, server.told(run_id)


def test_cancelling_twice_gives_up_what_a_run_does_at_its_end(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = LONG.replace("echo reported >> {here}/reported", "touch {here}/reporting; exec sleep 1000")
    with served(delivery, monkeypatch, slow) as server:
        run_id = server.launch()
        server.appears("second", run_id)
        assert server.launcher.terminate(run_id)
        server.appears("reporting", run_id)
        assert server.launcher.terminate(run_id)
        assert server.ends(run_id) == DagsterRunStatus.CANCELED, server.told(run_id)


def test_a_run_whose_worker_was_killed_is_known_to_have_none_and_goes_on_in_another(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(delivery, monkeypatch, LONG) as server:
        run_id = server.launch()
        server.appears("second", run_id)
        assert server.launcher.check_run_worker_health(server.run(run_id)).status == WorkerStatus.RUNNING
        os.kill(worker_of(server, run_id), signal.SIGKILL)
        server.warm.reaches(run_id, "died")
        health = server.launcher.check_run_worker_health(server.run(run_id))
        assert health.status == WorkerStatus.FAILED
        assert "killed by SIGKILL" in str(health.msg)
        assert left_runs(server.warm.home) == [run_id]
        server.file("go").touch()
        server.instance.resume_run(run_id, server.workspace, 1)
        assert server.ends(run_id) == DagsterRunStatus.SUCCESS, server.told(run_id)
        assert server.file("first").read_text() == "first\n", "what was finished is not done again"


def test_a_run_that_is_left_between_steps_goes_on_where_it_was(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(delivery, monkeypatch, LONG, settings="launcher: {drain_seconds: 0}") as server:
        run_id = server.launch()
        server.appears("second", run_id)
        server.warm.signal(signal.SIGTERM)
        server.warm.leaves(run_id)
        server.file("go").touch()
        server.warm.reaches(run_id, "left")
        assert server.run(run_id).status == DagsterRunStatus.STARTED
        assert not server.file("undone").exists()
        assert not server.file("reported").exists()
        assert server.warm.process is not None
        assert server.warm.process.wait(60) == 0
        server.warm.start()
        server.instance.resume_run(run_id, server.workspace, 1)
        assert server.ends(run_id) == DagsterRunStatus.SUCCESS, server.told(run_id)
        assert server.file("first").read_text() == "first\n"
        assert server.file("third").read_text() == "third\n"
        assert server.file("reported").read_text() == "reported\n"


def test_without_a_warm_server_a_run_is_carried_out_all_the_same_and_says_so(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(delivery, monkeypatch, SHORT) as server:
        server.warm.kill()
        server.launcher._body = BODY
        run_id = server.launch()
        assert server.ends(run_id) == DagsterRunStatus.SUCCESS, server.told(run_id)
        assert "The warm server cannot start this run, so it gets a process of its own" in server.told(run_id)


def test_while_the_warm_server_stops_a_launch_is_refused_with_an_error_of_its_own(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(delivery, monkeypatch, LONG) as server:
        going_on, waiting = server.launch(), server.create()
        server.appears("second", going_on)
        server.warm.signal(signal.SIGTERM)
        until(lambda: server.warm.ask(op="state")["draining"], lambda: "it does not drain")
        with pytest.raises(DrainingError, match=f"run {waiting} waits: the warm server is stopping"):
            server.launcher.launch_run(LaunchRunContext(server.run(waiting), server.workspace))
        assert server.run(waiting).status == DagsterRunStatus.NOT_STARTED


def test_a_cancelled_run_that_no_worker_has_is_marked(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(delivery, monkeypatch, SHORT) as server:
        run_id = server.create()
        assert server.launcher.check_run_worker_health(server.run(run_id)).status == WorkerStatus.NOT_FOUND
        assert server.launcher.terminate(run_id)
        assert server.run(run_id).status == DagsterRunStatus.CANCELED
        assert not server.launcher.terminate(run_id)


def test_dagster_still_asks_the_instance_for_its_handlers_for_each_run() -> None:
    """``maestro_defs.shared_instance`` answers in its place, since it would configure logging for each run."""
    import inspect

    from dagster import DagsterInstance

    assert "self.get_yaml_python_handlers()" in inspect.getsource(DagsterInstance.get_handlers)
