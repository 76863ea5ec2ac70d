"""What holds for every queue: nobody is lost, no limit is passed, no group has two, the queue gets empty."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.admission import Active, Limits, Waiting, admit

PROJECTS = {"shop": "acme", "site": "acme", "tool": "", "api": "zeta"}


@st.composite
def queues(draw: st.DrawFn, most: int = 25) -> tuple[list[Waiting], list[Active]]:
    waiting: list[Waiting] = []
    active: list[Active] = []
    positions = draw(st.permutations(range(draw(st.integers(0, most)))))
    for number, position in enumerate(positions):
        project = draw(st.sampled_from(sorted(PROJECTS)))
        group = draw(st.sampled_from([None, "main", "next"]))
        run = Waiting(
            run_id=f"run{number:05}",
            position=position,
            project=project,
            tenant=PROJECTS[project],
            group=group,
            scope=draw(st.sampled_from(["", "", "pull request 1"])),
            cancel_superseded=group is not None and draw(st.booleans()),
            priority=draw(st.sampled_from([0, 0, 0, 5])),
            held=draw(st.sampled_from([None, None, None, "waits until noon"])),
        )
        taken = {one.in_group for one in active}
        if draw(st.booleans()) and (group is None or run.in_group not in taken):
            active.append(_started(run, cancelling=draw(st.booleans())))
        else:
            waiting.append(run)
    return waiting, active


@st.composite
def limits(draw: st.DrawFn, least: int = 0) -> Limits:
    one = st.none() | st.integers(least, 6)
    return Limits(
        runs=draw(one),
        per_project=draw(one),
        per_tenant=draw(one),
        projects=draw(st.dictionaries(st.sampled_from(sorted(PROJECTS)), one)),
        tenants=draw(st.dictionaries(st.sampled_from(["acme", "zeta"]), one)),
    )


def _started(run: Waiting, cancelling: bool = False) -> Active:
    return Active(
        run_id=run.run_id,
        position=run.position,
        project=run.project,
        tenant=run.tenant,
        group=run.group,
        scope=run.scope,
        cancel_superseded=run.cancel_superseded,
        cancelling=cancelling,
    )


@given(queues(), limits())
def test_every_queued_run_starts_is_superseded_or_waits_with_a_reason(
    runs: tuple[list[Waiting], list[Active]], limits: Limits
) -> None:
    waiting, active = runs
    result = admit(waiting, active, limits)
    going_on = {run.run_id for run in active}
    told = Counter(
        [*result.launch, *(run_id for run_id, _ in result.cancel if run_id not in going_on), *result.blocked]
    )
    assert told == Counter(run.run_id for run in waiting)
    assert all(reason for reason in [*result.blocked.values(), *(reason for _, reason in result.cancel)])


@given(queues(), limits())
def test_no_limit_is_passed_and_no_group_has_two(runs: tuple[list[Waiting], list[Active]], limits: Limits) -> None:
    waiting, active = runs
    launched = [run for run in waiting if run.run_id in admit(waiting, active, limits).launch]
    afterwards = [*active, *(_started(run) for run in launched)]
    groups = Counter(run.in_group for run in afterwards if run.in_group is not None)
    assert all(count == 1 for count in groups.values())
    if launched and limits.runs is not None:
        assert len(afterwards) <= limits.runs
    for run in launched:
        of_project = limits.of_project(run.project)
        of_tenant = limits.of_tenant(run.tenant)
        assert of_project is None or sum(one.project == run.project for one in afterwards) <= of_project
        assert of_tenant is None or sum(one.tenant == run.tenant for one in afterwards) <= of_tenant


@given(queues(), limits())
def test_only_older_runs_of_the_same_group_are_cancelled(
    runs: tuple[list[Waiting], list[Active]], limits: Limits
) -> None:
    waiting, active = runs
    everyone: list[Active | Waiting] = [*waiting, *active]
    members = {run.run_id: run for run in everyone}
    for run_id, _reason in admit(waiting, active, limits).cancel:
        run = members[run_id]
        assert run.group is not None
        assert any(
            one.cancel_superseded and one.in_group == run.in_group and one.position > run.position
            for one in members.values()
        )


@given(queues(), limits())
def test_the_order_in_which_runs_are_given_does_not_matter(
    runs: tuple[list[Waiting], list[Active]], limits: Limits
) -> None:
    waiting, active = runs
    first = admit(waiting, active, limits)
    again = admit(list(reversed(waiting)), list(reversed(active)), limits)
    assert (first.launch, dict(first.cancel), first.blocked) == (again.launch, dict(again.cancel), again.blocked)


@settings(max_examples=60)
@given(queues(), limits(least=1))
def test_as_runs_end_every_queued_run_is_started_or_superseded_in_time(
    runs: tuple[list[Waiting], list[Active]], limits: Limits
) -> None:
    waiting, active = runs
    waiting = [replace(run, held=None) for run in waiting]
    for _ in range(2 * (len(waiting) + len(active)) + 1):
        result = admit(waiting, active, limits)
        cancelled = {run_id for run_id, _ in result.cancel}
        started = [_started(run) for run in waiting if run.run_id in result.launch]
        waiting = [run for run in waiting if run.run_id in result.blocked]
        ended = [run for run in active if run.cancelling] or active[:1]
        active = [
            replace(run, cancelling=run.cancelling or run.run_id in cancelled) for run in active if run not in ended
        ]
        active += started
    assert waiting == []
