"""JSON Schema (draft-07, what editors speak) of ``models.yaml``, generated from the models that check it.

``python -m maestro.llm.catalogue_schema`` prints it; editors/models.schema.json is that output.
"""

from __future__ import annotations

from typing import Any

from maestro.llm.catalogue_file import ModelsFile
from maestro.notation.json_schema import DRAFT, model_schema, without_null, written


def catalogue_schema() -> dict[str, Any]:
    """The schema of one file."""
    return {"$schema": DRAFT, **model_schema(ModelsFile, _own), "title": "Maestro models"}


def _own(schema: dict[str, Any]) -> dict[str, Any]:
    found = without_null(schema)
    if "oneOf" in found:
        found["anyOf"] = found.pop("oneOf")
    return found


def text() -> str:
    """The schema as it is checked in."""
    return written(catalogue_schema())


if __name__ == "__main__":
    import sys

    sys.stdout.write(text())
