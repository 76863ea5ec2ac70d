"""JSON Schema for editors, made from the models that check a kind of file.

Draft-07 is what editors speak. Each kind of file hands in what is its own to say of one schema; the rest is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import BaseModel

DRAFT = "http://json-schema.org/draft-07/schema#"
REFERENCE = "#/definitions/{model}"
TEXT = ("string", "number", "boolean")
"""A plain 1.0 or true is taken as text where text is wanted."""
_BY_NAME = ("properties", "definitions", "patternProperties")
_VALUES = ("enum", "const", "default")

Change = Callable[[dict[str, Any]], dict[str, Any]]


def model_schema(model: type[BaseModel], change: Change) -> dict[str, Any]:
    """The schema of ``model``, without ``$schema`` and title.

    Args:
        change: is given each schema in it once, those inside of it already changed, and gives what it is to be.
    """
    schema = model.model_json_schema(ref_template=REFERENCE)
    if "$defs" in schema:
        schema["definitions"] = schema.pop("$defs")
    return _changed(schema, change)


def free_text(schema: dict[str, Any], *, unless: Collection[str]) -> dict[str, Any]:
    """Text that may be written as a plain number or boolean, but where one of ``unless`` says more of it."""
    if schema.get("type") == "string" and not any(key in schema for key in unless):
        schema["type"] = list(TEXT)
    return schema


def with_pattern_message(schema: dict[str, Any], patterns: Mapping[str, str]) -> dict[str, Any]:
    """Says what a pattern stands for: ``patternErrorMessage`` is what editors show.

    Args:
        patterns: regular expression -> words.
    """
    if schema.get("pattern") in patterns:
        schema["patternErrorMessage"] = f"Must be {patterns[schema['pattern']]}."
    return schema


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What may be left out need not be offered as ``null``."""
    if "anyOf" not in schema:
        return schema
    choices = [choice for choice in schema.pop("anyOf") if choice != {"type": "null"}]
    # What stands outside describes it here; inside it is described in general.
    return {**choices[0], **schema} if len(choices) == 1 else {**schema, "anyOf": choices}


def written(schema: Mapping[str, Any]) -> str:
    """The schema as it is checked in."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _changed(schema: dict[str, Any], change: Change) -> dict[str, Any]:
    found = {
        key: item if key in _VALUES else _inside(item, change, by_name=key in _BY_NAME)
        for key, item in schema.items()
        # The library's own, and defaults that say nothing.
        if key != "title" and not (key == "default" and item in (None, "", [], {}))
    }
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].split()).replace("``", "`")
    found = change(found)
    if "patternProperties" in found:
        found.setdefault("additionalProperties", False)
    if "$ref" in found and len(found) > 1:
        # Draft-07 ignores what stands beside a reference.
        found = {"allOf": [{"$ref": found.pop("$ref")}], **found}
    return found


def _inside(value: Any, change: Change, *, by_name: bool) -> Any:
    if isinstance(value, list):
        return [_inside(item, change, by_name=False) for item in value]
    if not isinstance(value, dict):
        return value
    if by_name:
        return {name: _inside(item, change, by_name=False) for name, item in value.items()}
    return _changed(value, change)
