"""The generated part of docs/workflow.md: tables of every key, made from the same schema the editors use.

``python -m maestro.workflow.reference --check`` fails when docs/workflow.md is stale; ``--write`` renews it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro.notation.generated import GeneratedPart
from maestro.workflow import scope
from maestro.workflow.schema import workflow_schema
from maestro.workflow.words import PATTERNS

if TYPE_CHECKING:
    from maestro.steps.registry import Registry

PART = GeneratedPart("reference", "maestro.workflow.reference", Path("docs/workflow.md"))

_SECTIONS = (
    ("Stage", "Stage", "An item of `stages`."),
    ("Step", "Step", "An item of `steps`, `parallel` or `finally`."),
    ("Triggers", "Triggers", "Under `on`, when it is a mapping; see [what starts a run](#what-starts-a-run)."),
    ("PushTrigger", "Push", "Under `on`: `push`."),
    ("PullRequestTrigger", "PullRequest", "Under `on`: `pull_request`."),
    ("Schedule", "Schedule", "Under `on`: `schedule`, or an item of its list, when it is more than a cron expression."),
    ("ReleaseTrigger", "Release", "Under `on`: `release`."),
    ("CommentTrigger", "Comment", "Under `on`: `comment`."),
    ("Concurrency", "Concurrency", "Under `concurrency`; see [runs at once](#runs-at-once)."),
    ("Budget", "Budget", "Under `budget`; see [budgets](budgets.md)."),
    ("Amounts", "Amounts", "An item of `budget`, when it is more than dollars."),
    ("Parameter", "Parameter", "A value under `params`."),
    ("Secret", "Secret", "A value under the workflow's `secrets`."),
    ("Matrix", "Matrix", "Every key but these two is an axis: a list, or an expression that gives one."),
    ("Retries", "Retries", "Under a step's `retries`."),
    ("Effects", "Effects", "Under a step's `effects`, when it is more than `true`."),
    ("Compensate", "Compensation", "Under a step's `compensate`."),
    ("EvidenceContract", "EvidenceContract", "Under `evidence`; see [evidence](evidence.md)."),
)
_TYPE_WORDS = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
}
_NAMES = {pattern: words.partition(" (")[0].partition(":")[0] for pattern, words in PATTERNS.items()}


def reference(registry: Registry) -> str:
    """The generated part as Markdown, without the markers."""
    schema = workflow_schema(registry)
    definitions = schema["definitions"]
    lines = ["### Workflow", "", "The file itself. Keys that start with `x-` are yours: a place for anchors.", ""]
    lines += _table(schema)
    for name, title, sentence in _SECTIONS:
        lines += ["", f"### {title}", "", sentence, "", *_table(definitions[name])]
    lines += ["", "### Step kinds", "", "What `run` may name, with what stands under `with`.", ""]
    for name in registry.names:
        parameters = definitions[f"with.{name}"]
        lines += [f"#### `{name}`", "", parameters["description"], "", *_table(parameters, leave_out="cache_key"), ""]
        for model in sorted(key for key in definitions if key.startswith(f"{name}.")):
            found = definitions[model]
            lines += [f"##### {model.rpartition('.')[2]}", "", found.get("description", ""), "", *_table(found), ""]
    lines += ["### Names in expressions", "", *_names()]
    return "\n".join(lines).rstrip() + "\n"


def _table(schema: dict[str, Any], *, leave_out: str = "") -> list[str]:
    required = set(schema.get("required", ()))
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for key, found in schema.get("properties", {}).items():
        if key == leave_out:
            continue
        default = "**required**" if key in required else _default(found)
        cells = (f"`{key}`", _value(found), default, found.get("description", ""))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def _default(schema: dict[str, Any]) -> str:
    if "default" not in schema:
        return ""
    value = schema["default"]
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _value(schema: dict[str, Any]) -> str:
    """What may stand there, in words: ``text``, ``list of names``, ``true or false``."""
    if schema.get("description") == "An expression.":
        return ""
    if "$ref" in schema:
        return f"[{_title(schema['$ref'])}](#{_title(schema['$ref']).lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return "a step kind" if "enumDescriptions" in schema else ", ".join(f"`{value}`" for value in schema["enum"])
    for several in ("anyOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(filter(None, map(_value, schema[several]))))
    types = schema.get("type", [])
    types = [name for name in ([types] if isinstance(types, str) else types) if name != "null"]
    if schema.get("type") == "null":
        return ""
    if "string" in types and {"number", "boolean"} <= set(types) and "pattern" not in schema:
        types = [name for name in types if name not in ("number", "boolean")]
    if schema.get("pattern") in _NAMES:
        others = [name for name in types if name not in ("string", "number")]
        return " or ".join([_NAMES[schema["pattern"]], *(_typed(name, schema) for name in others)])
    return " or ".join(_typed(name, schema) for name in types) or "any value"


def _typed(name: str, schema: dict[str, Any]) -> str:
    if name == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_value(schema['items']).removeprefix('a ')}"
    if name == "object":
        values = list(schema.get("patternProperties", {}).values())
        values += [schema["additionalProperties"]] if isinstance(schema.get("additionalProperties"), dict) else []
        inner = _value(values[0]) if values else ""
        return f"mapping of {inner.removeprefix('a ')}" if inner and inner != "any value" else "mapping"
    return _TYPE_WORDS[name]


def _title(reference_to: str) -> str:
    name = reference_to.rpartition("/")[2]
    return next((title for model, title, _ in _SECTIONS if model == name), name.rpartition(".")[2])


def _names() -> list[str]:
    rows = (
        ("params.<name>", "a parameter's value"),
        ("`, `".join(f"git.{name}" for name in scope.GIT), "the revision"),
        ("matrix.<axis>", "this cell's value, in a step with a matrix"),
        ("env.<NAME>", "a variable of the workflow's `env`"),
        ("files['<path>'].hash", "sha256 of a file of the revision, hexadecimal; `package.json.hash` for short"),
        ("`, `".join(f"run.{name}" for name in scope.RUN), "this run"),
        ("project", "name of the project"),
        ("pull_request.number", "in `concurrency` only: its number, null without one"),
        ("steps.<id>.outputs.<name>", "what a step handed over; known once it has run"),
        ("steps.<id>.metadata.<name>", "what a step reported"),
        ("steps.<id>.passed", "whether it passed"),
        ("steps.<id>.cells['<cell>']", "of a step with a matrix: `outputs`, `metadata` and `passed` of one cell"),
        ("changed('<glob>', …)", "whether a file that matches differs from the base revision"),
    )
    return ["| name | value |", "| --- | --- |", *(f"| `{name}` | {meaning} |" for name, meaning in rows)]


def renewed(document: str, registry: Registry) -> str:
    """``document`` with its generated part made anew.

    Raises:
        InputError: a marker is missing.
    """
    return PART.renewed(document, reference(registry))


def main(arguments: list[str]) -> int:
    """``--check`` or ``--write``, then optionally the file; gives the exit code."""
    from maestro.steps.registry import Registry

    return PART.main(arguments, lambda: reference(Registry()))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
