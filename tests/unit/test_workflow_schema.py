"""The JSON Schema for editors: fresh, valid, and of one mind with the loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # its stubs are no dependency of ours

from maestro.workflow.problems import WorkflowErrors
from maestro.workflow.schema import text, workflow_schema
from maestro.workflow.yaml_reader import parse
from tests.unit.workflow_kinds import REGISTRY, load, one_step, own_kinds

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    return Draft7Validator(workflow_schema(REGISTRY))


def errors(validator: Draft7Validator, workflow: str) -> list[Any]:
    return list(validator.iter_errors(parse(workflow.encode(), file="f").root.data()))


def test_the_checked_in_schema_is_fresh() -> None:
    checked_in = (ROOT / "editors" / "maestro.schema.json").read_text(encoding="utf-8")
    assert checked_in == text(own_kinds()), "run: python -m maestro.workflow.schema > editors/maestro.schema.json"


def test_it_is_a_schema_of_draft_07() -> None:
    schema = workflow_schema(REGISTRY)
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["timeout: 90", "retries: {max: 2, delay: 1.5s}", "when: true"],
        ["matrix: {a: [1, x, true], b: '{{ params.l }}', include: [{a: 2}]}"],
        ["outputs: [dist/**]", "inputs: []", "env: {A: 1, B: x, C: true}", "cache_key: 3"],
        ["outputs: {wheel: dist/*.whl}", "effects: {probe: test -e x}", "compensate: {with: {command: undo}}"],
        ["compensate: {run: build.python}", "sandbox: true", "network: [example.org]", "effects: true"],
        ["secrets: [TOKEN]", "pool: db", "owners: ['team:a']"],
    ],
)
def test_what_the_loader_takes_the_schema_takes(validator: Draft7Validator, lines: list[str]) -> None:
    workflow = one_step(*lines).replace(
        "stages:", "version: 1.0\nx-mine: {a: 1}\nsecrets: {TOKEN: }\nparams: {l: {type: list, default: [1]}}\nstages:"
    )
    load(workflow)
    assert errors(validator, workflow) == []


def test_expressions_may_stand_for_typed_parameters_and_numbers_for_texts(validator: Draft7Validator) -> None:
    workflow = one_step().replace(
        "command: make",
        "command: true, attempts: '{{ 1 + 1 }}', strict: '{{ 1 > 0 }}', shell: '{{ \"sh\" }}', arguments: [1]",
    )
    load(workflow)
    assert errors(validator, workflow) == []


@pytest.mark.parametrize(
    "line",
    [
        "timout: 3",
        "timeout: soon",
        "timeout: [1]",
        "retries: {max: 21}",
        "retries: {max: x}",
        "retries: {backoff: linar}",
        "retries: {tries: 1}",
        "outputs: 3",
        "outputs: {1a: x}",
        "env: {a-b: x}",
        "env: {A: [1]}",
        "secrets: [a-b]",
        "effects: maybe",
        "compensate: {run: shel}",
        "compensate: {with: {comand: x}}",
        "compensate: {run: build.python, with: {comand: x}}",
        "sandbox: maybe",
        "when: [1]",
        "id: a b",
    ],
)
def test_what_the_schema_can_see_it_refuses_as_the_loader_does(validator: Draft7Validator, line: str) -> None:
    workflow = (
        one_step(line).replace("      - id: only\n        run", "      - run") if "id:" in line else one_step(line)
    )
    with pytest.raises(WorkflowErrors):
        load(workflow)
    assert errors(validator, workflow)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("run: shell", "run: shel"),
        ("command: make", "comand: make"),
        ("command: make", "command: [make]"),
        ("command: make", "command: make, attempts: many"),
        ("command: make", "command: make, shell: zsh"),
        ("        with: {command: make}\n", ""),
        ("name: build", "name: my build"),
        ("    steps:", "    parallel: [{run: test.unit}]\n    steps:"),
        ("stages:", "parms: {}\nstages:"),
        ("name: product\n", ""),
    ],
)
def test_wrong_kinds_parameters_and_stages_are_refused_by_both(
    validator: Draft7Validator, right: str, wrong: str
) -> None:
    workflow = one_step().replace(right, wrong)
    assert workflow != one_step()
    with pytest.raises(WorkflowErrors):
        load(workflow)
    assert errors(validator, workflow)


def test_every_key_is_explained() -> None:
    schema = workflow_schema(REGISTRY)
    for owner in (schema, *(schema["definitions"][name] for name in ("Stage", "Step", "Retries", "Matrix", "Secret"))):
        for key, found in owner["properties"].items():
            assert found.get("description"), key
