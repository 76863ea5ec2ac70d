"""The graph of a workflow for given parameters: matrix axes may be expressions over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maestro.errors import InputError
from maestro.workflow.expressions import Expressions
from maestro.workflow.graph import Graph, NamedStep, expand
from maestro.workflow.load import LoadedWorkflow
from maestro.workflow.model import Scalar


def expanded(loaded: LoadedWorkflow, params: Mapping[str, Any], expressions: Expressions) -> Graph:
    """The graph of ``loaded`` for ``params``.

    Raises:
        InputError: an axis is no list, a matrix is empty or too large; names the place.
    """

    def axes_of(named: NamedStep) -> Mapping[str, Sequence[Scalar]]:
        assert named.step.matrix is not None
        found: dict[str, Sequence[Scalar]] = {}
        for axis, values in named.step.matrix.axes.items():
            where = loaded.location((*named.path, "matrix", axis))
            try:
                rendered = expressions.render(values, {"params": dict(params)})
            except InputError as error:
                error.where = error.where or where
                raise
            if not isinstance(rendered, list):
                raise InputError(f"matrix axis '{axis}' is not a list", where=where, next_step="give a list of values")
            found[axis] = rendered
        return found

    return expand(loaded.workflow, axes_of)
