"""JSON Schema (draft-07, what editors speak) of a prompt's file, generated from its models.

``python -m maestro.prompts.schema`` prints it; editors/prompts.schema.json is that output.
"""

from __future__ import annotations

import json
from typing import Any

from maestro.prompts.shape import TERMS, PromptFile

DRAFT = "http://json-schema.org/draft-07/schema#"
# A plain 1.0 or true is taken as text where text is wanted.
_TEXT = ["string", "number", "boolean"]
_LIMITS = {"enum", "const"}


def prompt_schema() -> dict[str, Any]:
    """The schema of one file."""
    schema = PromptFile.model_json_schema(ref_template="#/definitions/{model}")
    schema["definitions"] = schema.pop("$defs")
    tidied: dict[str, Any] = _tidy(schema)
    variables = tidied["properties"]["variables"]
    variables["properties"] = {
        "type": {"const": "object"},
        "properties": {"type": "object", "description": "Name of a variable to its JSON Schema."},
        "required": {"type": "array", "items": {"type": "string"}},
    }
    return {"$schema": DRAFT, "title": "Maestro prompt", **tidied}


def _tidy(value: Any, *, names: bool = False) -> Any:
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    if names:
        return {key: _tidy(item) for key, item in value.items()}
    found = {
        key: _tidy(item, names=key in ("properties", "definitions"))
        for key, item in value.items()
        if key != "title" and not (key == "default" and item in (None, "", [], {}))
    }
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].split()).replace("``", "`")
    if found.get("type") == "string" and not _LIMITS & set(found):
        found["type"] = list(_TEXT)
    if found.get("pattern") in TERMS.patterns:
        found["patternErrorMessage"] = f"Must be {TERMS.patterns[found['pattern']]}."
    choices = found.get("anyOf")
    if isinstance(choices, list) and choices[-1] == {"type": "null"}:
        # What may be left out need not be offered as null.
        del found["anyOf"]
        found = {**choices[0], **found} if len(choices) == 2 else {**found, "anyOf": choices[:-1]}
    if "$ref" in found and len(found) > 1:
        # Draft-07 ignores what stands beside a reference.
        found = {"allOf": [{"$ref": found.pop("$ref")}], **found}
    return found


def text() -> str:
    """The schema as it is checked in."""
    return json.dumps(prompt_schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Print the schema."""
    import sys

    sys.stdout.write(text())


if __name__ == "__main__":
    main()
