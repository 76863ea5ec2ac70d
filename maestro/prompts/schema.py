"""JSON Schema (draft-07, what editors speak) of a prompt's file, generated from its models.

``python -m maestro.prompts.schema`` prints it; editors/prompts.schema.json is that output.
"""

from __future__ import annotations

from typing import Any

from maestro.notation.json_schema import DRAFT, free_text, model_schema, with_pattern_message, without_null, written
from maestro.prompts.shape import TERMS, PromptFile


def prompt_schema() -> dict[str, Any]:
    """The schema of one file."""
    schema = model_schema(PromptFile, _own)
    variables = schema["properties"]["variables"]
    variables["properties"] = {
        "type": {"const": "object"},
        "properties": {"type": "object", "description": "Name of a variable to its JSON Schema."},
        "required": {"type": "array", "items": {"type": "string"}},
    }
    return {"$schema": DRAFT, "title": "Maestro prompt", **schema}


def _own(schema: dict[str, Any]) -> dict[str, Any]:
    return without_null(with_pattern_message(free_text(schema, unless=("enum", "const")), TERMS.patterns))


def text() -> str:
    """The schema as it is checked in."""
    return written(prompt_schema())


def main() -> None:
    """Print the schema."""
    import sys

    sys.stdout.write(text())


if __name__ == "__main__":
    main()
