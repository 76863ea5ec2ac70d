"""The decision: who starts, who is superseded, who waits for what."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from maestro.admission.model import Active, Admission, Group, Limits, Waiting

_Member = Active | Waiting


def admit(waiting: Iterable[Waiting], active: Iterable[Active], limits: Limits) -> Admission:
    """Decides about every queued run, from nothing but the arguments.

    - Of a group one run is active at a time, and its runs start in the order in which they were asked for. A run that
      cancels what it supersedes ends all older ones of its group, queued or active; it starts when they have ended.
    - Higher priorities come first. A run is as urgent as the most urgent one of its group that waits for it.
    - At equal priority the tenant with the fewest active runs comes first, then its project with the fewest, then the
      older run; so nobody's many runs keep another's few from starting.

    Args:
        waiting: the queued runs, each once, none of them in ``active``; in any order.
        active: the runs that occupy a place.
    """
    waiting = sorted(waiting, key=lambda run: run.position)
    active = sorted(active, key=lambda run: run.position)
    cancel = _superseded(waiting, active)
    remaining = [run for run in waiting if run.run_id not in cancel]
    blocked = _behind_others(remaining, active)
    urgency = _urgency(remaining)
    candidates = []
    for run in remaining:
        if run.run_id in blocked:
            continue
        if run.held is not None:
            blocked[run.run_id] = run.held
        else:
            candidates.append(run)
    launch, refused = _choose(candidates, urgency, _Places(active, limits))
    return Admission(launch, tuple(cancel.items()), MappingProxyType(blocked | refused))


def _superseded(waiting: Sequence[Waiting], active: Sequence[Active]) -> dict[str, str]:
    """Run id -> reason, of all runs a newer one of their group replaces."""
    newest: dict[Group, _Member] = {}
    members: list[_Member] = [*active, *waiting]
    for run in sorted(members, key=lambda run: run.position):
        replaces = run.cancel_superseded and not (isinstance(run, Active) and run.cancelling)
        if run.in_group is not None and replaces:
            newest[run.in_group] = run
    found: dict[str, str] = {}
    for run in members:
        by = newest.get(run.in_group) if run.in_group is not None else None
        if by is None or run.position >= by.position or (isinstance(run, Active) and run.cancelling):
            continue
        revision = f" (revision {by.revision[:12]})" if by.revision else ""
        found[run.run_id] = f"superseded by run {_short(by)}{revision}"
    return found


def _behind_others(remaining: Sequence[Waiting], active: Sequence[Active]) -> dict[str, str]:
    """Run id -> reason, of all runs that are not the next of their group.

    Each names the run just before it, so the reason stays the same while others further ahead come and go.
    """
    before: dict[Group, _Member] = {run.in_group: run for run in active if run.in_group is not None}
    found: dict[str, str] = {}
    for run in remaining:
        if run.in_group is None:
            continue
        other = before.get(run.in_group)
        if other is not None:
            ending = ", which is being cancelled" if isinstance(other, Active) and other.cancelling else ""
            found[run.run_id] = f"waits for run {_short(other)} of group '{run.group}'{ending}"
        before[run.in_group] = run
    return found


def _urgency(remaining: Sequence[Waiting]) -> dict[str, int]:
    highest: dict[Group, int] = {}
    found: dict[str, int] = {}
    for run in reversed(remaining):
        urgency = run.priority
        if run.in_group is not None:
            urgency = highest[run.in_group] = max(urgency, highest.get(run.in_group, urgency))
        found[run.run_id] = urgency
    return found


class _Places:
    """What is taken, and what is free."""

    def __init__(self, active: Sequence[Active], limits: Limits) -> None:
        self._limits = limits
        self._all = len(active)
        self._projects = Counter(run.project for run in active)
        self._tenants = Counter(run.tenant for run in active)

    def take(self, run: Waiting) -> None:
        self._all += 1
        self._projects[run.project] += 1
        self._tenants[run.tenant] += 1

    def share(self, run: Waiting) -> tuple[int, int]:
        """Active runs of its tenant and of its project; a project without a tenant is its own."""
        of_project = self._projects[run.project]
        return (self._tenants[run.tenant] if run.tenant else of_project, of_project)

    def refusal(self, run: Waiting) -> str | None:
        """Why it finds no place; None when it does."""
        limits = self._limits
        for who, taken, limit in (
            (f"the project '{run.project}'", self._projects[run.project], limits.of_project(run.project)),
            (f"the tenant '{run.tenant}'", self._tenants[run.tenant], limits.of_tenant(run.tenant)),
            ("the server", self._all, limits.runs),
        ):
            if limit == 0:
                return f"{who} may have no runs: its limit is 0"
            if limit is not None and taken >= limit:
                return f"{who} has its {limit} run{'' if limit == 1 else 's'}"
        return None


def _choose(
    candidates: Sequence[Waiting], urgency: Mapping[str, int], places: _Places
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The runs that find a place, in order, and of the others the reason."""
    queues: dict[tuple[str, str], list[Waiting]] = defaultdict(list)
    for run in sorted(candidates, key=lambda run: (-urgency[run.run_id], run.position), reverse=True):
        queues[run.tenant, run.project].append(run)  # The next one is the last of its list.
    launch: list[str] = []
    refused: dict[str, str] = {}
    while queues:
        first = min(
            (queue[-1] for queue in queues.values()),
            key=lambda run: (-urgency[run.run_id], *places.share(run), run.position),
        )
        of_project = first.tenant, first.project
        why = places.refusal(first)
        if why is not None:
            # What refuses one run of a project refuses all of them, and no place becomes free in this round.
            refused |= {run.run_id: why for run in queues.pop(of_project)}
            continue
        launch.append(first.run_id)
        places.take(first)
        queues[of_project].pop()
        if not queues[of_project]:
            del queues[of_project]
    return tuple(launch), refused


def _short(run: _Member) -> str:
    return run.run_id[:8]
