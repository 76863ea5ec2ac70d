"""From stages of steps to a graph of nodes: ids, matrix cells, and what waits for what.

A *named step* is a step with the id it is known by; a *node* is a named step, or one cell of its matrix.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from maestro.errors import InputError
from maestro.workflow.model import Matrix, Scalar, Stage, Step, Workflow

FINALLY = "finally"
MAX_CELLS = 256

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class NamedStep:
    """A step, its id, its stage and where it stands in the document."""

    stage: str
    id: str
    step: Step
    path: Path
    final: bool = False
    stage_when: str | bool | None = None

    @property
    def optional(self) -> bool:
        """True when the plan may leave it out, so that what comes after must not lose its order."""
        return self.step.when is not None or self.stage_when is not None


@dataclass(frozen=True, slots=True)
class Node:
    """What becomes one asset.

    Args:
        name: ``stage/id`` or ``stage/id/cell``.
        matrix: axis -> value of this cell; empty without a matrix.
        upstream: names of the nodes it waits for, sorted.
        final: True for a ``finally`` step.
    """

    name: str
    stage: str
    id: str
    cell: str | None
    step: Step
    path: Path
    matrix: Mapping[str, Scalar] = field(default_factory=dict)
    upstream: tuple[str, ...] = ()
    stage_when: str | bool | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name, in an order in which each comes after what it waits for."""

    nodes: Mapping[str, Node]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def of_id(self, step_id: str) -> list[Node]:
        """The node called ``step_id``, or all cells of its matrix."""
        return [node for node in self if node.id == step_id]

    def ancestors(self, names: Sequence[str]) -> set[str]:
        """``names`` and everything they wait for, directly or not."""
        return self._reach(names, {node.name: node.upstream for node in self})

    def descendants(self, names: Sequence[str]) -> set[str]:
        """``names`` and everything that waits for them, directly or not."""
        downstream: dict[str, list[str]] = {node.name: [] for node in self}
        for node in self:
            for name in node.upstream:
                downstream[name].append(node.name)
        return self._reach(names, downstream)

    @staticmethod
    def _reach(names: Sequence[str], edges: Mapping[str, Sequence[str]]) -> set[str]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(edges[name])
        return found


def named_steps(workflow: Workflow) -> list[NamedStep]:
    """All steps with their ids, in the order of the file; steps without an id get one made from their kind.

    A made id is the kind with dots as underscores, and a number when it is taken (``shell``, ``shell_2``). Given ids
    are never changed, so two equal given ids stay equal; ``maestro.workflow.check`` reports them.
    """
    taken = {step.id for step in _all_steps(workflow) if step.id}
    found: list[NamedStep] = []

    def name(step: Step) -> str:
        if step.id:
            return step.id
        base = re.sub(r"[^A-Za-z0-9_-]", "_", step.run) or "step"
        candidates = itertools.chain([base], (f"{base}_{number}" for number in itertools.count(2)))
        made = next(candidate for candidate in candidates if candidate not in taken)
        taken.add(made)
        return made

    for index, stage in enumerate(workflow.stages):
        key = "steps" if stage.steps is not None else "parallel"
        for position, step in enumerate(stage.members):
            path = ("stages", index, key, position)
            found.append(NamedStep(stage.name, name(step), step, path, stage_when=stage.when))
    for position, step in enumerate(workflow.finally_):
        found.append(NamedStep(FINALLY, name(step), step, (FINALLY, position), final=True))
    return found


def _all_steps(workflow: Workflow) -> list[Step]:
    return [step for stage in workflow.stages for step in stage.members] + list(workflow.finally_)


def step_edges(workflow: Workflow, steps: Sequence[NamedStep]) -> dict[str, set[str]]:
    """Step id -> ids it waits for. Names that do not exist are left out; cycles are kept.

    A stage waits for the last steps of the stages it needs. A step the plan may leave out does not carry order alone:
    what waits for it also waits for what it waits for.
    """
    known = {step.id for step in steps}
    by_stage: dict[str, list[NamedStep]] = {}
    for step in steps:
        if not step.final:
            by_stage.setdefault(step.stage, []).append(step)
    edges: dict[str, set[str]] = {step.id: set() for step in steps}
    for stage in workflow.stages:
        members = by_stage.get(stage.name, [])
        for position, named in enumerate(members):
            edges[named.id].update(name for name in named.step.depends_on if name in known)
            if stage.steps is not None and position:
                edges[named.id].add(members[position - 1].id)
    ends = {name: _ends(members, edges) for name, members in by_stage.items()}
    for index, stage in enumerate(workflow.stages):
        before = {end for needed in _needed(workflow, index, stage) for end in ends.get(needed, ())}
        own = {member.id for member in by_stage.get(stage.name, [])}
        for member in by_stage.get(stage.name, []):
            if not edges[member.id] & own:
                edges[member.id] |= before
    return _carry_order(edges, {step.id for step in steps if step.optional})


def _needed(workflow: Workflow, index: int, stage: Stage) -> list[str]:
    if stage.needs is not None:
        return stage.needs
    return [workflow.stages[index - 1].name] if index else []


def _ends(members: Sequence[NamedStep], edges: Mapping[str, set[str]]) -> set[str]:
    own = {member.id for member in members}
    return own - {name for member in members for name in edges[member.id]}


def _carry_order(edges: dict[str, set[str]], optional: set[str]) -> dict[str, set[str]]:
    def wide(step_id: str) -> set[str]:
        found: set[str] = set()
        waiting = list(edges[step_id])
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                if name in optional:
                    waiting.extend(edges[name])
        return found

    return {step_id: wide(step_id) - {step_id} | (edges[step_id] & {step_id}) for step_id in edges}


def cells(matrix: Matrix, axes: Mapping[str, Sequence[Scalar]]) -> list[dict[str, Scalar]]:
    """The combinations of ``axes`` with ``exclude`` and ``include`` applied, as GitHub Actions defines them.

    Raises:
        InputError: no cell is left, or there are more than ``MAX_CELLS``.
    """
    count = 1
    for values in axes.values():
        count *= len(values)
    if axes and count > MAX_CELLS:
        raise InputError(
            f"the matrix has {count:,} cells; at most {MAX_CELLS} are allowed",
            next_step="shorten an axis, split the step, or list the cells wanted under 'include'",
        )
    found = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())] if axes else []
    found = [cell for cell in found if not any(_matches(cell, rule) for rule in matrix.exclude)]
    for rule in matrix.include:
        shared = {axis: value for axis, value in rule.items() if axis in axes}
        hosts = [cell for cell in found if shared and _matches(cell, shared)]
        for cell in hosts:
            cell.update(rule)
        if not hosts:
            found.append(dict(rule))
    if not found:
        raise InputError(
            "the matrix is empty: no cell is left", next_step="give an axis a value, or take 'matrix' away"
        )
    if len(found) > MAX_CELLS:
        raise InputError(f"the matrix has {len(found):,} cells; at most {MAX_CELLS} are allowed")
    return found


def _matches(cell: Mapping[str, Scalar], rule: Mapping[str, Scalar]) -> bool:
    return all(axis in cell and cell[axis] == value for axis, value in rule.items())


def cell_names(all_cells: Sequence[Mapping[str, Scalar]]) -> list[str]:
    """A short name for each cell, unique among them: its values, joined by ``-``."""
    names: list[str] = []
    for cell in all_cells:
        base = "-".join(_word(value) for value in cell.values()) or "cell"
        candidates = itertools.chain([base], (f"{base}_{number}" for number in itertools.count(2)))
        names.append(next(candidate for candidate in candidates if candidate not in names))
    return names


def _word(value: Scalar) -> str:
    text = str(value).lower() if isinstance(value, bool) or value is None else str(value)
    return re.sub(r"[^A-Za-z0-9_.]+", "_", text)[:40] or "empty"


def expand(workflow: Workflow, axes_of: Callable[[NamedStep], Mapping[str, Sequence[Scalar]]]) -> Graph:
    """The graph of ``workflow``; ``axes_of`` gives the values of a step's matrix axes.

    The workflow must have passed ``maestro.workflow.check``: ids are unique and there is no cycle.

    Raises:
        InputError: a matrix is empty or too large.
    """
    steps = named_steps(workflow)
    edges = step_edges(workflow, steps)
    nodes_of: dict[str, list[Node]] = {}
    for named in steps:
        nodes_of[named.id] = _nodes(named, axes_of(named) if named.step.matrix else {})
    ordered: dict[str, Node] = {}
    for step_id in _topological([step.id for step in steps], edges):
        upstream = tuple(sorted(node.name for name in edges[step_id] for node in nodes_of[name]))
        for node in nodes_of[step_id]:
            ordered[node.name] = replace(node, upstream=upstream)
    return Graph(ordered)


def _nodes(named: NamedStep, axes: Mapping[str, Sequence[Scalar]]) -> list[Node]:
    def node(cell: str | None, matrix: Mapping[str, Scalar]) -> Node:
        name = f"{named.stage}/{named.id}" + (f"/{cell}" if cell else "")
        return Node(
            name,
            named.stage,
            named.id,
            cell,
            named.step,
            named.path,
            matrix,
            (),
            named.stage_when,
            named.final,
        )

    if named.step.matrix is None:
        return [node(None, {})]
    all_cells = cells(named.step.matrix, axes)
    return [node(name, cell) for name, cell in zip(cell_names(all_cells), all_cells, strict=True)]


def _topological(ids: Sequence[str], edges: Mapping[str, set[str]]) -> list[str]:
    done: dict[str, None] = {}
    for first in ids:
        stack = [(first, iter(sorted(edges[first])))]
        while stack:
            step_id, rest = stack[-1]
            following = next((name for name in rest if name not in done), None)
            if following is None:
                done[step_id] = None
                stack.pop()
            else:
                stack.append((following, iter(sorted(edges[following]))))
    return list(done)
