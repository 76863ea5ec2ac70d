"""Variables of a prompt: a JSON Schema (2020-12) of an object, its checks, defaults, and what is personal in them.

Regular expressions are of linear time, nothing outside of the schema is ever read, and no error repeats a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from maestro.notation.document import Path, describe
from maestro.notation.problems import listed, nearest
from maestro.prompts.environment import PersonalText
from maestro.prompts.shape import VARIABLE_PATTERN
from maestro.prompts.templates import RESERVED

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

PERSONAL = "x-personal"
MAX_TEXT = 8 * 1024 * 1024
MAX_DEPTH = 30
_INSIDE = ("items", "additionalProperties", "contains")
_MAPS = ("properties", "$defs")
_LISTS = ("prefixItems", "allOf", "anyOf", "oneOf")
_NAME = re.compile(VARIABLE_PATTERN)
_MASK = "the value"


def schema_faults(schema: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """What is wrong with the schema: path in it, and one sentence each."""
    if not schema:
        return
    if schema.get("type") != "object":
        yield ("type",), "'variables' is the JSON Schema of an object: it needs 'type: object'"
    properties = schema.get("properties", {})
    if not isinstance(properties, Mapping):
        yield ("properties",), f"'properties' must be a mapping; found {describe(properties)}"
        return
    required = schema.get("required", [])
    for index, name in enumerate(required if isinstance(required, list) else ()):
        if name not in properties:
            close = nearest(str(name), properties)
            hint = f'; did you mean "{close}"?' if close else ""
            yield ("required", index), f"'{name}' is required and is no variable{hint}"
    for name, inner in properties.items():
        if not _NAME.match(name) or name in RESERVED:
            yield ("properties", name), f"'{name}' cannot be the name of a variable"
        yield from _one(inner, ("properties", name), schema)
    if all(isinstance(one, Mapping | bool) for one in properties.values()):
        rest = {key: value for key, value in schema.items() if key not in ("properties", "required")}
        yield from _one(rest, (), schema)
    yield from _references(schema, ())
    yield from _stray(schema, ())


def _one(schema: Any, path: Path, whole: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """What the library has against a schema that may refer to the definitions of ``whole``."""
    import jsonschema_rs

    if not isinstance(schema, Mapping | bool):
        yield path, f"{_last(path)} must be a JSON Schema, a mapping; found {describe(schema)}"
        return
    tried = schema if isinstance(schema, bool) else {"$defs": whole.get("$defs", {}), **schema}
    try:
        validator(tried)
    except jsonschema_rs.ValidationError as error:
        inner = tuple(error.instance_path)
        yield (*path, *inner), f"{_last((*path, *inner))} is not JSON Schema: {error.message}"
        return
    except (ValueError, RecursionError) as error:
        yield path, f"{_last(path)} is not JSON Schema: {error}"
        return
    if isinstance(schema, Mapping) and "default" in schema:
        for wrong in validator(tried).iter_errors(schema["default"]):
            yield (*path, "default"), f"the default is not what the schema asks for: {_words(wrong)}"


def _references(schema: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """References out of the schema."""
    for key, value in _members(schema):
        if key in ("$ref", "$dynamicRef") and isinstance(value, str) and not value.startswith("#"):
            yield (*path, key), f"'{value}' is outside of this file; a reference begins with '#'"
        elif key in ("$id", "$schema", "$anchor") and isinstance(schema, Mapping):
            yield (*path, str(key)), f"'{key}' is not taken here"
        elif key not in ("default", "const", "enum", "examples"):
            yield from _references(value, (*path, key))


def _stray(schema: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """``x-personal`` where it would have no effect, which nobody would notice."""
    marks = _marks(schema)
    for place in marks:
        if place not in set(_reached(schema, ())):
            yield (
                (*path, *place),
                f"'{PERSONAL}' has no effect here; write it beside the 'type' of a property or an item",
            )
    for place in marks:
        value = schema
        for part in place:
            value = value[part]
        if not isinstance(value, bool):
            yield (*path, *place), f"'{PERSONAL}' must be true or false; found {describe(value)}"


def _marks(schema: Any, path: Path = ()) -> list[Path]:
    found: list[Path] = []
    for key, value in _members(schema):
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
        if key in schema and key != "contains":
            yield from _reached(schema[key], (*path, key))
    for key in _MAPS:
        for name, inner in schema[key].items() if isinstance(schema.get(key), Mapping) else ():
            yield from _reached(inner, (*path, key, name))
    for key in _LISTS:
        for index, inner in enumerate(schema[key] if isinstance(schema.get(key), list) else ()):
            yield from _reached(inner, (*path, key, index))


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), inner) for key, inner in value.items())
    elif isinstance(value, list):
        yield from enumerate(value)


def validator(schema: Any) -> Validator:
    """The library's validator, which reads nothing from anywhere and shows no values."""
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(
        schema, mask=_MASK, retriever=_nothing, pattern_options=jsonschema_rs.RegexOptions()
    )


def _nothing(address: str) -> Any:
    raise ValueError(f"'{address}' is outside of this file")


def value_faults(schema: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """What is wrong with ``values``, one sentence each; empty when they can be used."""
    properties = schema.get("properties", {})
    found = []
    for name in values:
        if name not in properties:
            close = nearest(name, [one for one in properties if one not in values] or properties)
            hint = f'; did you mean "{close}"?' if close else f"; variables: {listed(properties)}"
            found.append(f"there is no variable '{name}'{hint}")
    missing = [name for name in schema.get("required", []) if name not in values]
    found += [f"the variable '{name}' is missing" for name in missing]
    try:
        size = len(json.dumps(values, ensure_ascii=False, allow_nan=False, check_circular=True))
    except (TypeError, ValueError, RecursionError) as error:
        return [*found, f"the variables are no JSON: {error}"]
    if size > MAX_TEXT:
        return [*found, f"the variables have {size / 1024**2:.1f} MiB; at most {MAX_TEXT // 1024**2} MiB are taken"]
    if _depth(values) > MAX_DEPTH:
        return [*found, f"the variables are nested deeper than {MAX_DEPTH} levels"]
    known = {name: value for name, value in values.items() if name in properties}
    loose = {key: value for key, value in schema.items() if key != "required"}
    return found + [_words(error) for error in (validator(loose).iter_errors(known) if loose else ())]


def completed(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``values``, with the defaults of those not given."""
    properties = schema.get("properties", {})
    defaults = {
        name: inner["default"]
        for name, inner in properties.items()
        if isinstance(inner, Mapping) and "default" in inner and name not in values
    }
    return {**defaults, **values}


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


def _words(error: ValidationError) -> str:
    path = tuple(error.instance_path)
    subject = f"'{'.'.join(map(str, path))}'" if path else "the variables"
    message = error.message
    if message.startswith(_MASK):
        return f"{subject}{message.removeprefix(_MASK)}"
    return f"{subject}: {message}"


def _last(path: Path) -> str:
    return f"'{path[-1]}'" if path else "'variables'"


def _depth(value: Any) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        deepest = max(deepest, depth)
        inner = one.values() if isinstance(one, Mapping) else one if isinstance(one, list | tuple) else ()
        waiting += [(child, depth + 1) for child in inner]
    return deepest
