"""Checks matrices: axes, the values of their cells, and how many cells there are."""

from __future__ import annotations

from collections.abc import Sequence

from maestro.errors import InputError
from maestro.notation.document import Path
from maestro.notation.problems import listed, nearest
from maestro.workflow.expressions import Expressions, has_expression
from maestro.workflow.findings import Findings
from maestro.workflow.graph import NamedStep, cells
from maestro.workflow.model import Matrix, Scalar, Workflow


def check_matrices(findings: Findings, workflow: Workflow, steps: Sequence[NamedStep]) -> None:
    """Adds what is wrong with the matrix of every step that has one."""
    for named in steps:
        if named.step.matrix is not None:
            _matrix(findings, (*named.path, "matrix"), named.step.matrix, workflow)


def _matrix(findings: Findings, path: Path, matrix: Matrix, workflow: Workflow) -> None:
    literal: dict[str, list[Scalar]] = {}
    computed = False
    for axis, values in matrix.axes.items():
        if isinstance(values, list):
            literal[axis] = values
        elif has_expression(values):
            computed = True
            _defaults(findings, (*path, axis), values, workflow)
        else:
            findings.add((*path, axis), f"the axis '{axis}' must be a list, or an expression that gives one")
            return
    # The number of cells can only be told when no axis is computed; the plan counts the others.
    if not computed:
        try:
            cells(matrix, literal)
        except InputError as error:
            findings.add(path, error.what, key=True, allowed=error.next_step)
    for index, rule in enumerate(matrix.exclude):
        for axis in rule:
            if axis not in matrix.axes:
                findings.add(
                    (*path, "exclude", index, axis),
                    f"unknown axis '{axis}': this rule excludes nothing",
                    key=True,
                    allowed=listed(matrix.axes),
                    suggestion=nearest(axis, matrix.axes),
                )
    _numbers(findings, path)


def _defaults(findings: Findings, path: Path, axis: str, workflow: Workflow) -> None:
    """Which assets there are must be known before any run gives its parameters."""
    try:
        used = Expressions().references(axis).params
    except InputError:
        return  # Reported where expressions are checked.
    for name in sorted(used & workflow.params.keys()):
        if workflow.params[name].required:
            findings.add(
                path,
                f"the axis depends on parameter '{name}', which has no default",
                allowed="a parameter with a default: the steps must be known before a run gives its parameters",
            )


def _numbers(findings: Findings, path: Path) -> None:
    """A number that is written otherwise than it reads (``3.10`` is 3.1) is nearly always meant as text."""
    node, depth = findings.document.find(path)
    waiting = [node] if depth == len(path) else []
    while waiting:
        node = waiting.pop()
        waiting += [value for _, value in (node.members or {}).values()]
        waiting += node.items or []
        if isinstance(node.value, float) and node.raw is not None and str(node.value) != node.raw:
            message = f"'{node.raw}' is the number {node.value}; put it in quotes if the text is meant"
            place = findings.document.offset_location(node.start)
            findings.problems.append(findings.document.problem(place, message, allowed=f"'{node.raw}'"))


def axes_of(matrix: Matrix | None) -> set[str]:
    """Names a step with ``matrix`` may use as ``matrix.<name>``."""
    if matrix is None:
        return set()
    return set(matrix.axes) | {axis for rule in matrix.include for axis in rule}
