"""JSON Schema (draft-07, what editors speak) of ``maestro.yaml``, generated from the models and the step kinds.

``python -m maestro.workflow.schema`` prints it for the installed kinds; editors/maestro.schema.json is that output.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from maestro.notation.json_schema import DRAFT, REFERENCE, TEXT, free_text, model_schema, with_pattern_message, written
from maestro.workflow.check_kinds import DEFAULT_COMPENSATION
from maestro.workflow.model import Workflow
from maestro.workflow.plain import EXTENSION
from maestro.workflow.words import PATTERNS

if TYPE_CHECKING:
    from maestro.steps.registry import Registry

_EXPRESSION = {"type": "string", "pattern": r"\{\{", "description": "An expression."}
_ANY_TYPE = {"enum", "const", "anyOf", "allOf", "oneOf", "$ref"}
_TEXT_LIMITS = {"pattern", "enum", "const", "format"}


def workflow_schema(registry: Registry) -> dict[str, Any]:
    """The schema of a workflow whose steps are of the kinds in ``registry``."""
    schema = model_schema(Workflow, _own)
    definitions: dict[str, Any] = schema.setdefault("definitions", {})
    kinds = [registry.get(name) for name in registry.names]
    for kind in kinds:
        parameters = _parameters(kind.params, kind.name, definitions)
        parameters["description"] = kind.summary
        definitions[_with_name(kind.name)] = parameters
    names = [kind.name for kind in kinds]
    summaries = [kind.summary for kind in kinds]
    for owner in ("Step", "Compensate"):
        definition = definitions[owner]
        definition["properties"]["run"] |= {"enum": names, "enumDescriptions": summaries}
        definition["properties"]["run"]["type"] = "string"
        definition["properties"]["run"].pop("minLength", None)
        definition["allOf"] = [_rule(owner, kind.name, definitions) for kind in kinds]
    stage = definitions["Stage"]
    stage["oneOf"] = [{"required": ["steps"]}, {"required": ["parallel"]}]
    schema["patternProperties"] = {f"^{EXTENSION}": {"description": "Yours: a place for anchors. Maestro ignores it."}}
    return {"$schema": DRAFT, **schema, "title": "Maestro workflow"}


def _rule(owner: str, kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """What stands under ``with`` when ``run`` names ``kind``."""
    reference = {"$ref": REFERENCE.format(model=_with_name(kind))}
    condition: dict[str, Any] = {"properties": {"run": {"const": kind}}}
    # Where 'run' has a default, a missing one is that kind.
    if owner != "Compensate" or kind != DEFAULT_COMPENSATION:
        condition["required"] = ["run"]
    then: dict[str, Any] = {"properties": {"with": reference}}
    if definitions[_with_name(kind)].get("required"):
        then["required"] = ["with"]
    return {"if": condition, "then": then}


def _with_name(kind: str) -> str:
    return f"with.{kind}"


def _parameters(model: type[BaseModel], kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of ``model``, in which an expression may stand for any value that is no text."""
    schema = model_schema(model, _own)
    for name, inner in schema.pop("definitions", {}).items():
        # Two kinds may have inner models of one name.
        definitions[f"{kind}.{name}"] = inner
    renamed = json.loads(json.dumps(schema).replace('"#/definitions/', f'"#/definitions/{kind}.'))
    for name in list(definitions):
        if name.startswith(f"{kind}."):
            text = json.dumps(definitions[name]).replace('"#/definitions/', f'"#/definitions/{kind}.')
            definitions[name] = _with_expressions(json.loads(text.replace(f"{kind}.{kind}.", f"{kind}.")))
    result = _with_expressions(renamed)
    result.setdefault("properties", {})["cache_key"] = {
        "type": list(TEXT),
        "description": "Text that is part of the cache key; may also stand beside 'with'.",
    }
    return result


def _with_expressions(schema: dict[str, Any]) -> dict[str, Any]:
    for name, found in schema.get("properties", {}).items():
        schema["properties"][name] = _or_expression(found)
    return schema


def _or_expression(schema: dict[str, Any]) -> dict[str, Any]:
    if set(TEXT) <= set(_listed(schema.get("type", []))):
        return schema
    kept: dict[str, Any] = {key: schema.pop(key) for key in ("description", "default") if key in schema}
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        schema["items"] = _or_expression(schema["items"])
    choices = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    if any(set(TEXT) <= set(_listed(choice.get("type", []))) for choice in choices):
        return {**kept, **schema}
    return {**kept, "anyOf": [*choices, dict(_EXPRESSION)]}


def _own(schema: dict[str, Any]) -> dict[str, Any]:
    found = with_pattern_message(free_text(schema, unless=_TEXT_LIMITS), PATTERNS)
    return _simpler(found) if "anyOf" in found else found


def _simpler(schema: dict[str, Any]) -> dict[str, Any]:
    """One list of types in place of a choice between bare types; a choice inside a choice is part of it."""
    choices: list[dict[str, Any]] = []
    for choice in schema.pop("anyOf"):
        choices += choice["anyOf"] if set(choice) <= {"anyOf", "description"} and "anyOf" in choice else [choice]
    bare = [choice for choice in choices if set(choice) == {"type"}]
    others = [choice for choice in choices if set(choice) != {"type"}]
    types = [name for choice in bare for name in _listed(choice["type"])]
    unique = [name for name in dict.fromkeys(types) if name != "integer" or "number" not in types]
    if unique:
        others.append({"type": unique if len(unique) > 1 else unique[0]})
    merged = _merged(others)
    return {**schema, **merged} if merged is not None else {**schema, "anyOf": others}


def _merged(choices: list[dict[str, Any]]) -> dict[str, Any] | None:
    """One schema in place of choices of different types: editors explain a wrong value far better then.

    A keyword of JSON Schema holds for values of its own type only, so ``pattern`` says nothing of a number.
    """
    merged: dict[str, Any] = {}
    types: list[str] = []
    for choice in choices:
        here = _listed(choice.get("type", []))
        keywords = {key: value for key, value in choice.items() if key not in ("type", "description")}
        if not here or _ANY_TYPE & set(keywords) or set(here) & set(types) or set(keywords) & set(merged):
            return choices[0] if len(choices) == 1 else None
        types += here
        merged |= keywords
    return {"type": types if len(types) > 1 else types[0], **merged}


def _listed(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else types


def text(registry: Registry) -> str:
    """The schema as it is checked in."""
    return written(workflow_schema(registry))


def main() -> None:
    """Print the schema of the installed kinds."""
    import sys

    from maestro.steps.registry import Registry

    sys.stdout.write(text(Registry()))


if __name__ == "__main__":
    main()
