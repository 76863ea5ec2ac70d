"""Validates plain data against a model: text where text is wanted, and the model's errors in words for people."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from maestro.errors import Location
from maestro.notation.document import Document, Path, describe
from maestro.notation.problems import Problem, listed, nearest
from maestro.notation.words import Terms, choices, either, expectation

M = TypeVar("M", bound=BaseModel)

_WRONG_TYPE = ("_type", "_instance_of", "int_from_float", "none_required", "literal_error", "model_attributes_type")


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of a model, placed in the data.

    Args:
        path: of the value; for an unknown or a missing key, of that key.
        kind: pydantic's error type.
        message: for people.
        on_key: True when the key itself is wrong.
        allowed: what may stand there.
        suggestion: the nearest known name.
        value: what stands there.
    """

    path: Path
    kind: str
    message: str
    on_key: bool = False
    allowed: str | None = None
    suggestion: str | None = None
    value: Any = None


def validate(
    model: type[M], data: Any, *, as_text: Callable[[Path, Any], str | None], terms: Terms
) -> tuple[M | None, list[Fault]]:
    """``data`` as ``model``, or what is wrong with it.

    Where the model wants text and ``data`` has a number or a boolean, ``as_text(path, value)`` is put in its place,
    also in ``data``; None leaves it.
    """
    for _ in range(3):
        try:
            return model.model_validate(data, by_alias=True, by_name=False), []
        except ValidationError as error:
            errors = error.errors(include_url=False)
        changed = [_put_text(data, item, as_text) for item in errors if item["type"] == "string_type"]
        if not any(changed):
            break
    return None, _faults(model, data, errors, terms)


def _put_text(data: Any, error: Any, as_text: Callable[[Path, Any], str | None]) -> bool:
    path = _path(data, error)[0]
    value = error["input"]
    if not path or not isinstance(value, int | float):
        return False
    text = as_text(path, value)
    parent = _at(data, path[:-1])
    if text is None or not _has(parent, path[-1]) or parent[path[-1]] is not value:
        return False
    parent[path[-1]] = text
    return True


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _path(data: Any, error: Any) -> tuple[Path, tuple[tuple[int, str], ...], bool]:
    """Where in ``data`` a pydantic ``error`` is, the union labels there with their depth, and whether at a key."""
    loc: Sequence[str | int] = error["loc"]
    path: list[str | int] = []
    labels: list[tuple[int, str]] = []
    on_key = False
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        # Keys are text in the file, but a library may count them among numbers.
        step = str(part) if isinstance(data, dict) else part
        if part == "[key]":
            on_key = True
        elif _has(data, step):
            path.append(step)
            data = data[step]
        elif last and error["type"] == "missing" and isinstance(part, str):
            path.append(part)
        else:
            labels.append((len(path), str(part)))
    return tuple(path), tuple(labels), on_key


_Found = tuple[Any, Path, tuple[tuple[int, str], ...], bool]
"""A pydantic error, its path, the union labels on the way that are not dealt with yet, and whether it is at a key."""


def _faults(model: type[BaseModel], data: Any, errors: Iterable[Any], terms: Terms) -> list[Fault]:
    return _grouped(model, data, [(error, *_path(data, error)) for error in errors], terms)


def _grouped(model: type[BaseModel], data: Any, found: Iterable[_Found], terms: Terms) -> list[Fault]:
    single: list[Fault] = []
    unions: dict[Path, dict[str, list[_Found]]] = {}
    for error, path, labels, on_key in found:
        if labels:
            depth, label = labels[0]
            unions.setdefault(path[:depth], {}).setdefault(label, []).append((error, path, labels[1:], on_key))
        else:
            single.append(_fault(model, data, error, path, on_key, terms))
    for path, branches in unions.items():
        single += _union(model, data, path, branches, terms)
    return single


def _union(
    model: type[BaseModel],
    data: Any,
    path: Path,
    branches: Mapping[str, list[_Found]],
    terms: Terms,
) -> list[Fault]:
    """One message for a union: the errors of the branch whose type fits, or all the types that would fit."""
    fitting = [
        found
        for found in branches.values()
        if not any(where == path and error["type"].endswith(_WRONG_TYPE) for error, where, _, _ in found)
    ]
    if fitting:
        return _grouped(model, data, fitting[0], terms)
    wanted = dict.fromkeys(expectation(found[0][0], terms) for found in branches.values())
    value = _at(data, path)
    if "a number" in wanted:
        wanted.pop("a whole number", None)
    words = [word for error in branches.values() for word in choices(error[0][0])]
    close = nearest(value, words) if isinstance(value, str) else None
    message = f"{_name(path, terms)} must be {either(list(wanted))}; found {describe(value)}"
    return [Fault(path, "union", message, suggestion=close, value=value)]


def _fault(model: type[BaseModel], data: Any, error: Any, path: Path, on_key: bool, terms: Terms) -> Fault:
    kind = error["type"]
    value = error["input"]
    name = _name(path, terms)
    if kind == "extra_forbidden":
        return _unknown_key(model, data, path, terms)
    if kind == "missing":
        owner = "" if len(path) == 1 else f" of {_name(path[:-1], terms)}"
        return Fault(path, kind, f"the key '{path[-1]}'{owner} is missing")
    if kind == "value_error":
        text = str(error.get("ctx", {}).get("error", error["msg"])).removeprefix("Value error, ")
        return Fault(path, kind, f"{name} {text}" if text.startswith(("is ", "must ")) else text, value=value)
    wanted = expectation(error, terms)
    if on_key:
        return Fault(path, kind, f"the key '{path[-1]}' must be {wanted}", on_key=True, value=value)
    close = nearest(value, choices(error)) if isinstance(value, str) else None
    if wanted == "not empty":
        return Fault(path, kind, f"{name} must not be empty", value=value)
    return Fault(path, kind, f"{name} must be {wanted}; found {describe(value)}", suggestion=close, value=value)


def _unknown_key(model: type[BaseModel], data: Any, path: Path, terms: Terms) -> Fault:
    key = str(path[-1])
    present = _at(data, path[:-1])
    known = keys_at(model, data, path[:-1])
    free = [name for name in known if name not in present]
    return Fault(
        path,
        "extra_forbidden",
        f"unknown key '{key}'{'' if len(path) == 1 else f' in {_name(path[:-1], terms)}'}",
        on_key=True,
        allowed=listed(free, none="no other key"),
        suggestion=nearest(key, free),
    )


def _name(path: Path, terms: Terms) -> str:
    """``'with.command'``, ``an item of 'inputs'``: the last part of a path as people say it."""
    words = [part for part in path if isinstance(part, str)]
    if not words:
        return "the value"
    if isinstance(path[-1], int):
        return terms.items.get(words[-1], f"an item of '{words[-1]}'")
    return f"'{words[-1]}'"


def keys_at(model: type[BaseModel], data: Any, path: Path) -> list[str]:
    """The keys that may stand in the mapping at ``path`` of ``data``, in the model's order."""
    types_here: list[Any] = [model]
    for part in path:
        types_here = [inner for one in types_here for inner in _inside(one, part)]
    models = [one for one in types_here if isinstance(one, type) and issubclass(one, BaseModel)]
    return list(dict.fromkeys(key_of(name, found) for one in models for name, found in one.model_fields.items()))


def key_of(name: str, found: Any) -> str:
    """How the field called ``name`` is written in the file."""
    return str(found.alias or name)


def _inside(one: Any, part: str | int) -> list[Any]:
    if isinstance(one, type) and issubclass(one, BaseModel):
        fields = {key_of(name, found): found.annotation for name, found in one.model_fields.items()}
        return _members(fields.get(str(part)))
    origin, arguments = get_origin(one), get_args(one)
    if origin is list and isinstance(part, int):
        return _members(arguments[0])
    if origin is dict and isinstance(part, str):
        return _members(arguments[1])
    return []


def _members(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [inner for one in get_args(annotation) for inner in _members(one)]
    return [annotation]


def problems(
    document: Document, base: Path, faults: Iterable[Fault], *, place: Callable[..., Location] | None = None
) -> list[Problem]:
    """``faults`` of the data at ``base`` of ``document``, with their places.

    Args:
        place: ``place(document, path, key=…)``, where a kind of file has places of its own.
    """
    find = place or place_of
    return [
        document.problem(
            find(document, (*base, *fault.path), key=fault.on_key),
            fault.message,
            allowed=fault.allowed,
            suggestion=fault.suggestion,
        )
        for fault in faults
    ]


def place_of(document: Document, path: Path, *, key: bool = False) -> Location:
    """Place of ``path``; a missing key is shown at the key of what lacks it, where there is one."""
    node, depth = document.find(path)
    if depth == len(path) - 1 and depth and node.members is not None:
        return document.location(path[:-1], key=True)
    return document.location(path, key=key)
