"""The order within a group: that in which its runs were asked for, also when one could only be made later.

A delivery is tried again when an origin does not answer; a later one of its project may be quicker then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from dagster import DagsterInstance, DagsterRun, RunsFilter

from maestro.admission.model import Group
from maestro.runs.tags import ARRIVAL_TAG, GROUP_TAG, PARTITION_TAG, PROJECT_TAG, SUPERSEDES_TAG
from maestro_defs.queue_facts import Facts, project_of, says_yes, scope_of
from maestro_defs.trust import made_here

_LOOKED_AT = 100


def positions(facts: Iterable[Facts]) -> Mapping[str, int]:
    """Run id -> its place in the order of all runs.

    That in which they were made; but runs of one group that deliveries asked for share their places out among
    themselves, in the order in which those came.
    """
    facts = list(facts)
    found = {one.run.run_id: one.position for one in facts}
    groups: dict[Group, list[tuple[int, Facts]]] = defaultdict(list)
    for one in facts:
        group, arrival = _group(one.run), _arrival(one.run)
        if group is not None and arrival is not None:
            groups[group].append((arrival, one))
    for members in groups.values():
        places = sorted(one.position for _, one in members)
        # The same delivery may have asked for several.
        members.sort(key=lambda member: (member[0], member[1].position))
        found.update({one.run.run_id: place for place, (_, one) in zip(places, members, strict=True)})
    return found


def superseded_by(instance: DagsterInstance, run: DagsterRun) -> str | None:
    """Why a run that is made late is not to start: one that was asked for later ended its group's older ones already.

    Whatever has become of that one: to start the older revision after it would undo it.
    """
    group, arrival = _group(run), _arrival(run)
    if group is None or arrival is None:
        return None
    tags = {PROJECT_TAG: run.tags[PROJECT_TAG], GROUP_TAG: run.tags[GROUP_TAG]}
    for other in instance.get_runs(RunsFilter(tags=tags), limit=_LOOKED_AT):
        later = (_arrival(other) or 0) > arrival
        if later and _group(other) == group and says_yes(other.tags, SUPERSEDES_TAG):
            return f"superseded by run {other.run_id[:8]} (revision {other.tags.get(PARTITION_TAG, '')[:12]})"
    return None


def _group(run: DagsterRun) -> Group | None:
    name = run.tags.get(GROUP_TAG)
    return (project_of(run), scope_of(run.tags), name) if name else None


def _arrival(run: DagsterRun) -> int | None:
    told = run.tags.get(ARRIVAL_TAG, "")
    # Dagster copies a run's tags to one that executes it again, which somebody asked for later.
    return int(told) if told.isdecimal() and made_here(run) else None
