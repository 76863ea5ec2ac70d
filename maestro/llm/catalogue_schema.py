"""JSON Schema (draft-07, what editors speak) of ``models.yaml``, generated from the models that check it.

``python -m maestro.llm.catalogue_schema`` prints it; editors/models.schema.json is that output.
"""

from __future__ import annotations

import json
from typing import Any

from maestro.llm.catalogue_file import ModelsFile

DRAFT = "http://json-schema.org/draft-07/schema#"


def catalogue_schema() -> dict[str, Any]:
    """The schema of one file."""
    schema = ModelsFile.model_json_schema(ref_template="#/definitions/{model}")
    schema["definitions"] = schema.pop("$defs")
    tidied: dict[str, Any] = _tidy(schema)
    return {"$schema": DRAFT, **tidied, "title": "Maestro models"}


def _tidy(value: Any, *, names: bool = False) -> Any:
    """Without the library's titles, without ``null`` for what is merely left out, nothing beside a reference."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    if names:
        return {key: _tidy(item) for key, item in value.items()}
    found = {
        key: _tidy(item, names=key in ("properties", "definitions", "patternProperties"))
        for key, item in value.items()
        if key != "title" and not (key == "default" and item in (None, {}, []))
    }
    choices = [choice for choice in found.get("anyOf", ()) if choice != {"type": "null"}]
    if "anyOf" in found:
        del found["anyOf"]
        # What stands outside describes it here; inside it is described in general.
        found = {**choices[0], **found} if len(choices) == 1 else {**found, "anyOf": choices}
    if "oneOf" in found:
        found["anyOf"] = found.pop("oneOf")
    if "patternProperties" in found:
        found.setdefault("additionalProperties", False)
    if "$ref" in found and len(found) > 1:
        found = {"allOf": [{"$ref": found.pop("$ref")}], **found}
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].split()).replace("``", "`")
    return found


def text() -> str:
    """The schema as it is checked in."""
    return json.dumps(catalogue_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(text())
