"""A workflow's parameters as one Dagster resource, so that the Launchpad offers them with their types and defaults."""

from __future__ import annotations

from typing import Any

import dagster as dg
from pydantic import Field, create_model

from maestro.execution.parameters import plain_number
from maestro.workflow.model import Workflow

_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "list": list[Any],
    "object": dict[str, Any],
}


class ParametersResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # Its argument is for resources that make another.
    """Base of every workflow's parameters."""

    def values(self) -> dict[str, Any]:
        """Parameter name -> value."""
        return {name: plain_number(getattr(self, name)) for name in type(self).model_fields}


def params_resource(workflow: Workflow) -> ParametersResource:
    """The parameters of ``workflow`` with their defaults; a required one without a value stays None until a run."""
    fields: dict[str, Any] = {}
    for name, parameter in workflow.params.items():
        kind = _TYPES[parameter.type]
        optional = parameter.required or parameter.default is None
        fields[name] = (
            (kind | None) if optional else kind,
            Field(default=parameter.default, description=parameter.description or None),
        )
    model: type[ParametersResource] = create_model("Parameters", __base__=ParametersResource, **fields)
    return model()
