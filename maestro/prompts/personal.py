"""What is personal in variables: marked in their schema with ``x-personal``, followed into the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from maestro.notation.document import Path, describe
from maestro.prompts.meter import PersonalText

PERSONAL = "x-personal"
_INSIDE = ("items", "additionalProperties")
_MAPS = ("properties", "$defs")
_LISTS = ("prefixItems", "allOf", "anyOf", "oneOf")


def misplaced(schema: Any) -> Iterator[tuple[Path, str]]:
    """``x-personal`` where it would have no effect, which nobody would notice."""
    marks = _marks(schema)
    reached = set(_reached(schema, ()))
    for place in marks:
        if place not in reached:
            yield (
                place,
                f"'{PERSONAL}' has no effect here; write it beside the 'type' of a property or an item",
            )
    for place in marks:
        value = schema
        for part in place:
            value = value[part]
        if not isinstance(value, bool):
            yield place, f"'{PERSONAL}' must be true or false; found {describe(value)}"


def _marks(schema: Any, path: Path = ()) -> list[Path]:
    found: list[Path] = []
    for key, value in members(schema):
        if key == PERSONAL and not (path and path[-1] in _MAPS):
            found.append((*path, key))
        elif key not in ("default", "const", "enum", "examples"):
            found += _marks(value, (*path, key))
    return found


def _reached(schema: Any, path: Path) -> Iterator[Path]:
    """Places of ``x-personal`` that ``_walk`` comes by."""
    if not isinstance(schema, Mapping):
        return
    yield (*path, PERSONAL)
    for key in _INSIDE:
        if key in schema:
            yield from _reached(schema[key], (*path, key))
    for key in _MAPS:
        for name, inner in schema[key].items() if isinstance(schema.get(key), Mapping) else ():
            yield from _reached(inner, (*path, key, name))
    for key in _LISTS:
        for index, inner in enumerate(schema[key] if isinstance(schema.get(key), list) else ()):
            yield from _reached(inner, (*path, key, index))


def members(value: Any) -> Iterator[tuple[str | int, Any]]:
    """Keys or positions of a mapping or list, with what is there; of anything else, nothing."""
    if isinstance(value, Mapping):
        yield from ((str(key), inner) for key, inner in value.items())
    elif isinstance(value, list):
        yield from enumerate(value)


def marked(schema: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """``values`` with every personal text in it as ``PersonalText``, and these texts."""
    found: set[str] = set()
    result = _walk([schema], values, schema, False, found)
    assert isinstance(result, dict)
    return result, found


def _walk(schemas: list[Any], value: Any, whole: Mapping[str, Any], personal: bool, found: set[str]) -> Any:
    here = _unfolded(schemas, whole)
    personal = personal or any(one.get(PERSONAL) is True for one in here)
    if isinstance(value, Mapping):
        return {key: _walk(_of_member(here, key), inner, whole, personal, found) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(_of_item(here, index), inner, whole, personal, found) for index, inner in enumerate(value)]
    if not personal or value is None or isinstance(value, bool):
        return value
    # A number, such as that of a telephone, is written as text, so that it can be found again.
    text = PersonalText(value)
    if text.strip():
        found.add(text.strip())
    return text


def _unfolded(schemas: list[Any], whole: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The schemas with those they refer to or are combined of."""
    waiting, seen, found = list(schemas), set(), []
    while waiting:
        one = waiting.pop()
        if not isinstance(one, Mapping) or id(one) in seen:
            continue
        seen.add(id(one))
        found.append(one)
        for key in ("allOf", "anyOf", "oneOf"):
            waiting += one.get(key, [])
        if isinstance(one.get("$ref"), str):
            waiting.append(_pointed(whole, one["$ref"]))
    return found


def _pointed(whole: Any, reference: str) -> Any:
    """RFC 6901."""
    for part in reference.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(whole, list):
            whole = whole[int(key)] if key.isdigit() and int(key) < len(whole) else None
        else:
            whole = whole.get(key) if isinstance(whole, Mapping) else None
    return whole


def _of_member(schemas: list[Mapping[str, Any]], key: str) -> list[Any]:
    found = []
    for one in schemas:
        properties = one.get("properties", {})
        found.append(properties[key] if key in properties else one.get("additionalProperties"))
    return found


def _of_item(schemas: list[Mapping[str, Any]], index: int) -> list[Any]:
    found = []
    for one in schemas:
        first = one.get("prefixItems", [])
        found.append(first[index] if index < len(first) else one.get("items"))
    return found
