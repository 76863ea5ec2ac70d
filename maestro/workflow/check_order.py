"""Finds steps and stages that wait for each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from maestro.notation.document import Path
from maestro.workflow.findings import Findings
from maestro.workflow.graph import NamedStep, step_edges
from maestro.workflow.model import Workflow


def check_order(findings: Findings, workflow: Workflow, steps: Sequence[NamedStep]) -> dict[str, set[str]]:
    """Adds every cycle, printed as a path; gives the edges, step id -> ids it waits for."""
    edges = step_edges(workflow, steps)
    stage_cycle = _stage_cycle(findings, workflow)
    unique = len({named.id for named in steps}) == len(steps)
    # Two steps of one id are one name in the edges, which would look like a cycle.
    if not stage_cycle and unique:
        by_id = {named.id: named for named in reversed(steps)}
        for cycle in cycles(edges):
            _report(findings, cycle, by_id)
    return edges


def _report(findings: Findings, cycle: Sequence[str], by_id: Mapping[str, NamedStep]) -> None:
    path: Path | None = None
    implied: list[str] = []
    for waiting, awaited in pairwise(cycle):
        named = by_id[waiting]
        if awaited in named.step.depends_on:
            path = path or (*named.path, "depends_on", named.step.depends_on.index(awaited))
        else:
            reason = "stands after it" if named.stage == by_id[awaited].stage else "its stage comes after that one's"
            implied.append(f"'{waiting}' waits for '{awaited}': {reason}")
    because = f" ({'; '.join(implied[:3])})" if implied else ""
    shown = " -> ".join(cycle)
    message = (
        f"the step waits for itself: {shown}" if len(cycle) == 2 else f"steps wait for each other: {shown}{because}"
    )
    findings.add(path or by_id[cycle[0]].path, message)


def _stage_cycle(findings: Findings, workflow: Workflow) -> bool:
    """Adds cycles of stages; True when the order of stages cannot be told."""
    edges: dict[str, set[str]] = {stage.name: set() for stage in workflow.stages}
    if len(edges) < len(workflow.stages):
        # Two stages of one name would look like a stage that waits for itself; the name is reported elsewhere.
        return True
    for index, stage in enumerate(workflow.stages):
        before = [workflow.stages[index - 1].name] if index else []
        needed = before if stage.needs is None else stage.needs
        edges[stage.name].update(name for name in needed if name in edges)
    found = cycles(edges)
    indices = {stage.name: index for index, stage in enumerate(workflow.stages)}
    for cycle in found:
        path: Path = ("stages", indices[cycle[0]])
        for waiting, awaited in pairwise(cycle):
            needs = workflow.stages[indices[waiting]].needs
            if needs and awaited in needs:
                path = ("stages", indices[waiting], "needs", needs.index(awaited))
                break
        shown = " -> ".join(cycle)
        words = "the stage waits for itself" if len(cycle) == 2 else "stages wait for each other"
        findings.add(path, f"{words}: {shown}")
    return bool(found)


def cycles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """One shortest cycle for each group of names that wait for each other; first and last are the same name."""
    found: list[list[str]] = []
    position = {name: index for index, name in enumerate(edges)}
    groups = [(min(group, key=position.__getitem__), group) for group in _groups(edges)]
    for start, group in sorted(groups, key=lambda pair: position[pair[0]]):
        if len(group) > 1 or start in edges[start]:
            found.append(_shortest(edges, group, start))
    return found


def _shortest(edges: Mapping[str, set[str]], group: set[str], start: str) -> list[str]:
    came_from: dict[str, str] = {}
    waiting = [start]
    for name in waiting:
        for following in sorted(edges[name] & group):
            if following == start:
                path = [start]
                while name != start:
                    path.append(name)
                    name = came_from[name]
                return [start, *reversed(path[1:]), start]
            if following not in came_from:
                came_from[following] = name
                waiting.append(following)
    raise AssertionError("a strongly connected group has a cycle through each of its names")


def _groups(edges: Mapping[str, set[str]]) -> list[set[str]]:
    """Strongly connected groups (Kosaraju), without recursion."""
    order: list[str] = []
    seen: set[str] = set()
    for first in edges:
        stack = [(first, iter(sorted(edges[first])))] if first not in seen else []
        seen.add(first)
        while stack:
            name, rest = stack[-1]
            following = next((other for other in rest if other not in seen), None)
            if following is None:
                order.append(name)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(edges[following]))))
    backwards: dict[str, list[str]] = {name: [] for name in edges}
    for name, others in edges.items():
        for other in others:
            backwards[other].append(name)
    groups: list[set[str]] = []
    placed: set[str] = set()
    for first in reversed(order):
        if first in placed:
            continue
        group = {first}
        waiting = [first]
        while waiting:
            for other in backwards[waiting.pop()]:
                if other not in placed and other not in group:
                    group.add(other)
                    waiting.append(other)
        placed |= group
        groups.append(group)
    return groups
