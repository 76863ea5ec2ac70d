"""From the queue to the launcher: runs wait, start, are superseded, and survive what goes wrong on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus

from maestro.admission import Admission, Limits
from maestro.errors import InputError
from maestro.runs.tags import TENANT_TAG, WAITS_TAG
from maestro.server.home import find_server
from maestro.server.leases import LeaseLostError
from maestro.server.settings import LimitSettings
from maestro.server.wake import Waiter
from maestro_defs.admissions import Admissions, LaunchRules
from maestro_defs.coordinator import CONDUCTOR, admit_queued
from maestro_defs.launcher import DrainingError
from maestro_defs.run_moves import cancel_in_queue, move_run, standings, why_cancelled
from tests.integration.hand_launcher import NOBODY, Queue, open_queue
from tests.integration.postgres_server import postgres_database

QUEUED, STARTING, CANCELED = DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING, DagsterRunStatus.CANCELED
ANY = Limits()
AT_ONCE = LaunchRules(pause=0.0, grace=0.0, attempts=3)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Queue, Path]]:
    """An instance for all tests, and its server's home; making one takes seconds."""
    folder = tmp_path_factory.mktemp("coordinator")
    with ExitStack() as stack:
        postgres = None
        if request.param == "postgresql":
            postgres = stack.enter_context(postgres_database(request.getfixturevalue("postgres_url")))
        yield stack.enter_context(open_queue(folder / "dagster", folder / "server", postgres)), folder / "server"


@pytest.fixture
def queue(opened: tuple[Queue, Path]) -> Queue:
    opened[0].instance.wipe()
    opened[0].launcher.forget()
    return opened[0]


@pytest.fixture
def server(opened: tuple[Queue, Path]) -> Path:
    return opened[1]


@pytest.fixture
def admissions(queue: Queue) -> Iterator[Admissions]:
    made = Admissions(queue.instance, AT_ONCE)
    yield made
    made.close()


def once(admissions: Admissions, limits: Limits = ANY) -> Admission:
    decided = admissions.round(NOBODY, limits)
    admissions.settle()
    return decided


def begun(queue: Queue, admissions: Admissions, group: str | None = None) -> DagsterRun:
    """A run whose worker has started it."""
    run = queue.submit(group)
    once(admissions)
    queue.launcher.begin(run)
    return run


def test_a_submitted_run_waits_in_the_queue_and_the_conductor_is_woken(queue: Queue, server: Path) -> None:
    waiter = Waiter(find_server(server), CONDUCTOR)
    try:
        run = queue.submit()
        assert run.status == queue.status(run) == QUEUED
        assert queue.kinds(run) == ["PIPELINE_ENQUEUED"]
        assert waiter.wait(30)
    finally:
        waiter.close()
    assert queue.launcher.launched == []


def test_a_run_can_be_submitted_when_the_servers_home_is_broken(tmp_path: Path) -> None:
    (tmp_path / "server").write_text("a file where the folder should be")
    with open_queue(tmp_path / "dagster", tmp_path / "server") as queue:
        assert queue.status(queue.submit()) == QUEUED


def test_submitting_a_run_again_changes_nothing(queue: Queue, admissions: Admissions) -> None:
    run = queue.submit()
    assert queue.resubmit(run.with_status(DagsterRunStatus.NOT_STARTED)).status == QUEUED
    once(admissions)
    assert queue.resubmit(run).status == STARTING
    assert queue.kinds(run).count("PIPELINE_ENQUEUED") == 1


def test_one_round_launches_what_has_a_place(queue: Queue) -> None:
    runs = [queue.submit() for _ in range(3)]
    decided = admit_queued(queue.instance, NOBODY, LimitSettings(runs=2))
    assert decided.launch == (runs[0].run_id, runs[1].run_id)
    assert sorted(queue.launcher.launched) == sorted(decided.launch)
    assert [queue.status(run) for run in runs] == [STARTING, STARTING, QUEUED]
    assert queue.kinds(runs[0])[-1] == "PIPELINE_STARTING"


def test_a_run_that_waits_says_for_what(queue: Queue, admissions: Admissions) -> None:
    first, second = queue.submit("main"), queue.submit("main")
    once(admissions)
    assert queue.read(second).tags[WAITS_TAG] == f"waits for run {first.run_id[:8]} of group 'main'"
    assert WAITS_TAG not in queue.read(first).tags


def test_the_reason_is_written_anew_when_it_changes_and_by_another_process_too(
    queue: Queue, admissions: Admissions
) -> None:
    first, second = queue.submit("main"), queue.submit("main")
    once(admissions)
    queue.launcher.end(first)
    once(admissions, Limits(runs=0))
    assert queue.read(second).tags[WAITS_TAG] == "the server may have no runs: its limit is 0"
    admit_queued(queue.instance, NOBODY, Limits(per_project=0))
    assert queue.read(second).tags[WAITS_TAG] == "the project 'shop' may have no runs: its limit is 0"


def test_the_next_of_a_group_starts_when_the_one_before_has_ended(queue: Queue, admissions: Admissions) -> None:
    first, second = queue.submit("main"), queue.submit("main")
    once(admissions)
    queue.launcher.begin(first)
    once(admissions)
    assert queue.status(second) == QUEUED
    queue.launcher.end(first)
    once(admissions)
    assert queue.launcher.launched == [first.run_id, second.run_id]


def test_limits_of_tenants_go_by_the_tag_of_the_run(queue: Queue, admissions: Admissions) -> None:
    runs = [queue.submit(tags={TENANT_TAG: "acme"}) for _ in range(2)]
    assert once(admissions, Limits(tenants={"acme": 1})).blocked == {runs[1].run_id: "the tenant 'acme' has its 1 run"}


def test_a_newer_run_cancels_the_queued_and_the_running_one(queue: Queue, admissions: Admissions) -> None:
    running = begun(queue, admissions, "main")
    waiting = queue.submit("main")
    newest = queue.submit("main", supersedes=True)
    once(admissions)
    reason = f"Cancelled: superseded by run {newest.run_id[:8]} (revision 0123456789ab)."
    assert queue.status(waiting) == CANCELED
    assert queue.status(running) == DagsterRunStatus.CANCELING
    assert why_cancelled(queue.instance, waiting.run_id) == reason
    assert why_cancelled(queue.instance, running.run_id) == reason
    assert queue.launcher.stopped == [running.run_id]
    assert queue.status(newest) == QUEUED

    once(admissions)
    assert queue.launcher.stopped == [running.run_id], "it is asked once, a second time would cut its end short"
    assert queue.status(newest) == QUEUED, "the group is taken until the cancelled run has ended"

    queue.launcher.end(running, DagsterEventType.PIPELINE_CANCELED)
    once(admissions)
    assert queue.status(newest) == STARTING
    assert why_cancelled(queue.instance, newest.run_id) is None


def test_a_queued_run_is_cancelled_at_once_and_stays_so(queue: Queue, admissions: Admissions) -> None:
    run = queue.submit()
    assert queue.instance.run_coordinator.cancel_run(run.run_id)
    assert queue.status(run) == CANCELED
    assert queue.kinds(run) == ["PIPELINE_ENQUEUED", "PIPELINE_CANCELING", "PIPELINE_CANCELED"]
    assert why_cancelled(queue.instance, run.run_id) == "Cancelled while it was queued."
    once(admissions)
    queue.resubmit(run.with_status(DagsterRunStatus.NOT_STARTED))
    assert queue.status(run) == CANCELED
    assert queue.launcher.launched == []


def test_a_running_run_is_stopped_by_its_launcher(queue: Queue, admissions: Admissions) -> None:
    run = begun(queue, admissions)
    assert queue.instance.run_coordinator.cancel_run(run.run_id)
    assert queue.launcher.stopped == [run.run_id]


def test_cancelling_what_has_ended_or_never_was_is_refused(queue: Queue, admissions: Admissions) -> None:
    run = begun(queue, admissions)
    queue.launcher.end(run)
    assert not queue.instance.run_coordinator.cancel_run(run.run_id)
    assert not queue.instance.run_coordinator.cancel_run("no-such-run")
    assert queue.status(run) == DagsterRunStatus.SUCCESS


def test_of_a_launch_and_a_cancellation_at_the_same_moment_one_wins(queue: Queue) -> None:
    for _ in range(10):
        run = queue.submit()
        together = threading.Barrier(2)
        won: dict[str, bool] = {}

        def launch(run: DagsterRun = run, won: dict[str, bool] = won, together: threading.Barrier = together) -> None:
            together.wait()
            won["launch"] = move_run(queue.instance, run, QUEUED, STARTING)

        def cancel(run: DagsterRun = run, won: dict[str, bool] = won, together: threading.Barrier = together) -> None:
            together.wait()
            won["cancel"] = cancel_in_queue(queue.instance, run, "Cancelled.")

        threads = [threading.Thread(target=launch), threading.Thread(target=cancel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won.values()) == [False, True]
        assert queue.status(run) == (STARTING if won["launch"] else CANCELED)


def test_two_conductors_that_both_think_they_are_the_one_launch_a_run_once(queue: Queue) -> None:
    runs = [queue.submit() for _ in range(12)]
    both = [Admissions(queue.instance, LaunchRules()) for _ in range(2)]
    threads = [threading.Thread(target=once, args=(one,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in both:
        one.close()
    assert sorted(queue.launcher.launched) == sorted(run.run_id for run in runs)


def test_who_lost_the_lease_launches_and_cancels_nothing(queue: Queue) -> None:
    def lost() -> None:
        raise LeaseLostError("conductor")

    old, new = queue.submit("main"), queue.submit("main", supersedes=True)
    admissions = Admissions(queue.instance, AT_ONCE, lost)
    once(admissions)
    admissions.close()
    assert [queue.status(old), queue.status(new)] == [QUEUED, QUEUED]
    assert queue.launcher.launched == []


def test_a_run_cancelled_while_it_is_being_launched_is_stopped(queue: Queue, admissions: Admissions) -> None:
    run = queue.submit()

    def cancelled_meanwhile(run: DagsterRun) -> None:
        queue.instance.run_coordinator.cancel_run(run.run_id)

    queue.launcher.trouble = cancelled_meanwhile
    once(admissions)
    assert queue.launcher.stopped == [run.run_id, run.run_id]
    assert queue.status(run) == DagsterRunStatus.CANCELING


def test_a_run_that_cannot_be_launched_is_tried_again_and_then_fails_with_the_reason(
    queue: Queue, admissions: Admissions
) -> None:
    run = queue.submit("main")
    behind = queue.submit("main")

    def fails(_run: DagsterRun) -> None:
        raise ConnectionError("the server is away")

    queue.launcher.trouble = fails
    once(admissions)
    assert queue.status(run) == QUEUED
    assert "The run could not be launched: ConnectionError: the server is away" in queue.messages(run)
    once(admissions)
    assert queue.status(run) == QUEUED
    once(admissions)
    assert queue.status(run) == DagsterRunStatus.FAILURE
    assert "The run could not be launched in 3 attempts: ConnectionError: the server is away" in queue.messages(run)
    queue.launcher.trouble = lambda run: None
    once(admissions)
    assert queue.launcher.launched == [behind.run_id]


def test_between_two_attempts_a_run_waits_and_says_so(queue: Queue) -> None:
    run = queue.submit()

    def fails(_run: DagsterRun) -> None:
        raise ConnectionError("the server is away")

    queue.launcher.trouble = fails
    admissions = Admissions(queue.instance, LaunchRules(pause=3600.0))
    once(admissions)
    queue.launcher.trouble = lambda run: None
    assert once(admissions).launch == ()
    admissions.close()
    waits = queue.read(run).tags[WAITS_TAG]
    assert waits.endswith("(attempt 1 of 5 failed: ConnectionError: the server is away)")
    again = Admissions(queue.instance, AT_ONCE)
    assert once(again).launch == (run.run_id,), "a new conductor tries at once"
    again.close()


def test_a_run_cancelled_while_its_launch_failed_is_not_put_back(queue: Queue, admissions: Admissions) -> None:
    run = queue.submit()

    def fails(run: DagsterRun) -> None:
        queue.instance.run_coordinator.cancel_run(run.run_id)
        raise ConnectionError("the server is away")

    queue.launcher.trouble = fails
    once(admissions)
    assert queue.status(run) == DagsterRunStatus.CANCELING
    once(admissions)
    once(admissions)
    assert queue.status(run) == CANCELED
    assert queue.launcher.launched == []


def test_while_the_launcher_is_stopping_runs_wait_and_no_attempt_is_counted(queue: Queue) -> None:
    run = queue.submit()

    def stopping(_run: DagsterRun) -> None:
        raise DrainingError("the warm server is stopping")

    queue.launcher.trouble = stopping
    admissions = Admissions(queue.instance, LaunchRules(attempts=1, draining=3600.0))
    once(admissions)
    later = queue.submit()
    queue.launcher.trouble = lambda run: None
    waits = "waits until the launcher, which is stopping, takes runs again"
    assert once(admissions).blocked == {run.run_id: waits, later.run_id: waits}
    admissions.close()
    back = Admissions(queue.instance, AT_ONCE)
    assert once(back).launch == (run.run_id, later.run_id)
    back.close()


def test_a_run_whose_launch_never_happened_is_launched_by_the_next_conductor(queue: Queue) -> None:
    run = queue.submit()
    move_run(queue.instance, run, QUEUED, STARTING)  # And then that conductor was killed.
    admissions = Admissions(queue.instance, AT_ONCE)
    once(admissions)
    once(admissions)
    admissions.close()
    assert queue.launcher.launched == [run.run_id]
    assert "No worker has taken the run up; it is launched again." in queue.messages(run)


def test_a_run_that_is_starting_slowly_is_left_alone(queue: Queue, admissions: Admissions) -> None:
    run = queue.submit()
    for _ in range(4):
        once(admissions)
    assert queue.launcher.launched == [run.run_id]


def test_a_run_that_no_worker_ever_takes_up_fails_in_the_end(queue: Queue, admissions: Admissions) -> None:
    run = queue.submit()
    for _ in range(8):
        once(admissions)
        queue.launcher.workers.clear()
    assert queue.status(run) == DagsterRunStatus.FAILURE
    assert len(queue.launcher.launched) == AT_ONCE.attempts
    assert "The run was launched 3 times and no worker took it up." in queue.messages(run)


def test_a_cancelled_run_whose_worker_is_gone_ends_and_frees_its_group(queue: Queue, admissions: Admissions) -> None:
    run = begun(queue, admissions, "main")
    following = queue.submit("main")
    queue.instance.run_coordinator.cancel_run(run.run_id)
    once(admissions)
    once(admissions)
    assert queue.status(run) == DagsterRunStatus.CANCELING, "its worker lives and has things to finish"
    queue.launcher.workers.clear()
    once(admissions)
    assert queue.status(run) == CANCELED
    once(admissions)
    assert queue.status(following) == STARTING


def test_one_run_that_makes_trouble_does_not_hold_up_the_others(queue: Queue, admissions: Admissions) -> None:
    bad, good = queue.submit(), queue.submit()

    def fails(run: DagsterRun) -> None:
        if run.run_id == bad.run_id:
            raise ConnectionError("the server is away")

    queue.launcher.trouble = fails
    once(admissions)
    assert queue.launcher.launched == [good.run_id]


def test_a_priority_that_is_no_number_is_none(queue: Queue, admissions: Admissions) -> None:
    urgent = queue.submit(tags={"dagster/priority": "very"})
    assert once(admissions).launch == (urgent.run_id,)


def test_a_fork_shares_no_group_with_the_project(queue: Queue, admissions: Admissions) -> None:
    own = queue.submit("main")
    fork = queue.submit("main", supersedes=True, tags={"maestro/untrusted": "true", "maestro/pull_request": "7"})
    assert once(admissions).launch == (own.run_id, fork.run_id)


def test_an_instance_that_limits_runs_in_dagster_yaml_is_refused(tmp_path: Path) -> None:
    limited = {"concurrency": {"runs": {"max_concurrent_runs": 3}}}
    with (
        open_queue(tmp_path / "dagster", tmp_path / "server", settings=limited) as queue,
        pytest.raises(InputError, match=r"concurrency\.runs.*only Dagster's own coordinator looks at"),
    ):
        Admissions(queue.instance)


def test_an_instance_that_counts_pools_by_run_is_refused(tmp_path: Path) -> None:
    by_run = {"concurrency": {"pools": {"granularity": "run"}}}
    with (
        open_queue(tmp_path / "dagster", tmp_path / "server", settings=by_run) as queue,
        pytest.raises(InputError, match="pools are counted by run"),
    ):
        Admissions(queue.instance)


def test_runs_that_are_kept_elsewhere_than_in_sql_are_refused() -> None:
    from maestro.errors import MaestroError

    class Elsewhere:
        run_storage = object()

    instance: DagsterInstance = Elsewhere()  # type: ignore[assignment]  # All that is asked of it.
    with pytest.raises(MaestroError, match="runs are kept in object"):
        standings(instance, [QUEUED])
