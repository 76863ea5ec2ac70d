"""Validates plain data against the language's models, and says where in a workflow file a fault is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel

from maestro.errors import Location
from maestro.notation import shape
from maestro.notation.document import Document, Node, Path
from maestro.notation.problems import Problem
from maestro.notation.shape import Fault
from maestro.workflow.words import TERMS

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], data: Any, *, as_text: Callable[[Path, Any], str | None]) -> tuple[M | None, list[Fault]]:
    """``data`` as ``model``, or what is wrong with it, in the language's words; see ``maestro.notation.shape``."""
    return shape.validate(model, data, as_text=as_text, terms=TERMS)


def problems(document: Document, base: Path, faults: Iterable[Fault]) -> list[Problem]:
    """``faults`` of the data at ``base`` of ``document``, with their places."""
    return shape.problems(document, base, faults, place=place)


def place(document: Document, path: Path, *, key: bool = False) -> Location:
    """Place of ``path``; a step's ``cache_key`` may stand under ``with``."""
    node, depth = document.find(path)
    if depth == len(path) - 1 and path[-1] == "cache_key" and isinstance(node.child("with"), Node):
        return document.location((*path[:-1], "with", "cache_key"), key=key)
    return shape.place_of(document, path, key=key)
