"""A step's ``with`` against its kind's parameters, before and after its expressions are rendered."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from maestro.notation.document import Document, Path
from maestro.notation.problems import Problem
from maestro.workflow.expressions import as_text, has_expression
from maestro.workflow.problems import WorkflowErrors
from maestro.workflow.shape import problems, validate

P = TypeVar("P", bound=BaseModel)


def validate_params(model: type[P], with_: Mapping[str, Any], *, document: Document, path: Path) -> P:
    """The rendered ``with_`` as ``model``; numbers and booleans become text where text is wanted.

    Args:
        path: of the ``with`` in the document, for places.

    Raises:
        WorkflowErrors: a value does not fit.
    """
    found, faults = validate(model, copy.deepcopy(dict(with_)), as_text=lambda _path, value: as_text(value))
    if found is None:
        raise WorkflowErrors(problems(document, path, faults))
    return found


def check_params(model: type[BaseModel], with_: dict[str, Any], *, document: Document, path: Path) -> list[Problem]:
    """What is wrong with the unrendered ``with_``; a string with an expression may stand for any value.

    Text is put where text is wanted, in ``with_`` itself: ``command: true`` is the command ``true``.
    """
    _, faults = validate(model, with_, as_text=lambda inner, _value: raw_text(document, (*path, *inner)))
    kept = [
        fault
        for fault in faults
        if fault.kind in ("extra_forbidden", "missing") or fault.on_key or not has_expression(fault.value)
    ]
    return problems(document, path, kept)


def raw_text(document: Document, path: Path) -> str | None:
    """The text of the plain scalar at ``path`` as it stands in the file; None when there is none."""
    node, depth = document.find(path)
    return node.raw if depth == len(path) and node.plain else None
