"""Runs of a group count in the order in which they were asked for, whenever each could be made."""

from __future__ import annotations

import dagster as dg

from maestro.runs.tags import (
    ARRIVAL_TAG,
    DELIVERY_TAG,
    GROUP_TAG,
    PARTITION_TAG,
    PROJECT_TAG,
    PULL_REQUEST_TAG,
    UNTRUSTED_TAG,
    WORKFLOW_TAG,
)
from maestro_defs.group_order import positions
from maestro_defs.queue_facts import Facts
from maestro_defs.trust import run_id_of


def delivered(made: int, asked: int, group: str | None = "main", **more: str) -> Facts:
    """A run the conductor made as the ``made``-th, of the delivery that came as the ``asked``-th."""
    tags = {
        PROJECT_TAG: "shop",
        WORKFLOW_TAG: "deliver",
        PARTITION_TAG: f"{asked:040x}",
        DELIVERY_TAG: f"github:{asked}",
        ARRIVAL_TAG: str(asked),
        **({GROUP_TAG: group} if group else {}),
        **more,
    }
    run_id = run_id_of(tags[DELIVERY_TAG], "deliver", tags[PARTITION_TAG])
    return Facts(dg.DagsterRun("deliver", run_id, tags=tags), made)


def by_hand(made: int, copied: Facts | None = None) -> Facts:
    """A run somebody started from the UI, maybe by executing another one again."""
    tags = dict(copied.run.tags) if copied else {PROJECT_TAG: "shop", GROUP_TAG: "main"}
    return Facts(dg.DagsterRun("deliver", f"by-hand-{made}", tags=tags), made)


def order(*facts: Facts) -> list[Facts]:
    places = positions(facts)
    assert sorted(places.values()) == sorted(one.position for one in facts)
    return sorted(facts, key=lambda one: places[one.run.run_id])


def test_a_run_made_late_comes_before_those_that_were_asked_for_later() -> None:
    first, second, third = delivered(1, 11), delivered(3, 12), delivered(2, 13)
    assert order(first, second, third) == [first, second, third]


def test_runs_of_other_groups_and_of_none_keep_their_places() -> None:
    late, quick = delivered(4, 11), delivered(1, 14)
    other, alone = delivered(2, 13, "release"), delivered(3, 12, None)
    assert order(late, quick, other, alone) == [late, other, alone, quick]


def test_a_run_somebody_started_by_hand_keeps_its_place() -> None:
    late, quick, hand = delivered(3, 11), delivered(1, 12), by_hand(2)
    assert order(late, quick, hand) == [late, hand, quick]


def test_a_run_that_is_executed_again_is_asked_for_when_that_is_done() -> None:
    first, second = delivered(1, 11), delivered(2, 12)
    again = by_hand(3, first)
    assert order(first, second, again) == [first, second, again]


def test_pull_requests_of_forks_that_name_the_same_group_are_apart() -> None:
    one = {UNTRUSTED_TAG: "true", PULL_REQUEST_TAG: "7"}
    other = {UNTRUSTED_TAG: "true", PULL_REQUEST_TAG: "8"}
    late, quick = delivered(2, 11, **one), delivered(1, 12, **other)
    assert order(late, quick) == [quick, late]
