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
from maestro.prompts.personal import members, misplaced
from maestro.prompts.shape import VARIABLE_PATTERN
from maestro.prompts.templates import RESERVED

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

MAX_TEXT = 8 * 1024 * 1024
MAX_DEPTH = 30
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
    yield from _references(schema, (), schema)
    yield from misplaced(schema)


def _one(schema: Any, path: Path, whole: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """What the library has against a schema that may refer to the definitions of ``whole``."""
    import jsonschema_rs

    if not isinstance(schema, Mapping | bool):
        yield path, f"{_last(path)} must be a JSON Schema, a mapping; found {describe(schema)}"
        return
    if any(True for _ in _references(schema, path, whole)):
        return  # Told there; the library, which sees this part alone, would say that something is not there.
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


def _references(schema: Any, path: Path, whole: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """References out of the schema, to themselves, and to variables."""
    for key, value in members(schema):
        if key in ("$ref", "$dynamicRef") and isinstance(value, str) and not value.startswith("#"):
            yield (*path, key), f"'{value}' is outside of this file; a reference begins with '#'"
        elif key == "$ref" and isinstance(value, str) and _in_a_circle(value, whole):
            yield (*path, key), f"{_last(path)} refers to itself"
        elif key == "$ref" and isinstance(value, str) and value.startswith("#/properties/"):
            yield (
                (*path, key),
                f"'{value}' is a variable, which cannot be referred to; write what they share under '$defs'",
            )
        elif key in ("$id", "$schema", "$anchor") and isinstance(schema, Mapping):
            yield (*path, str(key)), f"'{key}' is not taken here"
        elif key not in ("default", "const", "enum", "examples"):
            yield from _references(value, (*path, key), whole)


def _in_a_circle(reference: str, whole: Mapping[str, Any]) -> bool:
    """Whether the reference leads to nothing but references, and so back to one of them."""
    seen: set[str] = set()
    target: Any = {"$ref": reference}
    while isinstance(target, Mapping) and isinstance(target.get("$ref"), str):
        step = target["$ref"]
        if step in seen:
            return True
        seen.add(step)
        if not step.startswith("#/"):
            return False
        target = whole
        for part in step[2:].split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, Mapping) else None
    return False


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
