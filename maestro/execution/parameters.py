"""The values a run is given for the workflow's ``params``: typed, complete, and only those it declares."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from maestro.errors import InputError
from maestro.workflow.model import Parameter, Workflow

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}


def parse_assignments(assignments: Sequence[str], workflow: Workflow) -> dict[str, Any]:
    """``name=value`` from the command line; the value is JSON, or plain text where that is no JSON.

    A parameter of type ``string`` takes the text as it stands, so ``version=1.10`` stays ``1.10``.

    Raises:
        InputError: no ``=``, or a name given twice.
    """
    given: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise InputError(f"--param '{assignment}' is not name=value", next_step="write --param name=value")
        if name in given:
            raise InputError(f"parameter '{name}' is given twice", next_step="give it once")
        declared = workflow.params.get(name)
        given[name] = text if declared is not None and declared.type == "string" else _json_or_text(text)
    return given


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def complete(workflow: Workflow, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter's value: as given, else its default.

    Raises:
        InputError: unknown, missing, of the wrong type, or not among the values allowed.
    """
    for name in given:
        if name not in workflow.params:
            close = difflib.get_close_matches(name, workflow.params, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            known = ", ".join(workflow.params) or "none"
            raise InputError(f"there is no parameter '{name}'", next_step=f"{hint}parameters: {known}")
    values: dict[str, Any] = {}
    for name, parameter in workflow.params.items():
        if name in given:
            values[name] = _checked(name, parameter, given[name])
        elif parameter.required:
            raise InputError(
                f"parameter '{name}' has no value and no default", next_step=f"give it: --param {name}=VALUE"
            )
        else:
            values[name] = plain_number(parameter.default)
    return values


def _checked(name: str, parameter: Parameter, value: Any) -> Any:
    wanted = _TYPES[parameter.type]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise InputError(
            f"parameter '{name}' is of type {parameter.type}, not {json.dumps(value)}",
            next_step=f"give a JSON {parameter.type}",
        )
    if parameter.enum is not None and value not in parameter.enum:
        allowed = ", ".join(json.dumps(one) for one in parameter.enum)
        raise InputError(f"parameter '{name}' cannot be {json.dumps(value)}", next_step=f"allowed: {allowed}")
    return plain_number(value)


def plain_number(value: Any) -> Any:
    """A whole number without its ``.0``: Dagster's configuration makes every number a float, the plan does not."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
