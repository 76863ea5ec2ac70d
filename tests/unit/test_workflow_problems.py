"""Every mistake in a workflow file: its place, what is said about it, what is allowed, and the nearest name."""

from __future__ import annotations

import pytest

from maestro.workflow.problems import WorkflowErrors
from tests.unit.workflow_kinds import first_lines, load, one_step, problems

HEAD = "name: product\n"
STAGES = "stages:\n  - name: build\n    steps:\n      - {id: only, run: shell, with: {command: make}}\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("depend_on: [x]", "8:9: unknown key 'depend_on' in a step"),
        ("with_: {}", "8:9: unknown key 'with_' in a step"),
        ("timeout: soon", "8:18: 'soon' is not a duration; write seconds (90) or a text like '45s', '10m', '1h30m'"),
        ("timeout: 10 minutes", "8:18: '10 minutes' is not a duration"),
        ("timeout: 0", "8:18: 'timeout' must be more than 0 and at most 30d"),
        ("timeout: 31d", "8:18: 'timeout' must be more than 0 and at most 30d"),
        ("timeout: [1]", "8:18: 'timeout' is not a duration"),
        ("timeout: true", "8:18: 'timeout' is not a duration"),
        ("cache: yes", "8:16: 'cache' must be true or false; found the text 'yes'"),
        ("cache: '{{ params.x }}'", "8:16: 'cache' must be true or false; found the text '{{ params.x }}'"),
        ("when: [1]", "8:15: 'when' must be text or true or false; found a list"),
        ("outputs: 3", "8:18: 'outputs' must be a list or a mapping; found the number 3"),
        ("outputs: {1a: x}", "8:19: the key '1a' must be a name"),
        ("outputs: ['']", "8:19: an item of 'outputs' must not be empty"),
        ("inputs: src", "8:17: 'inputs' must be a list; found the text 'src'"),
        ("inputs: [{a: b}]", "8:18: an item of 'inputs' must be text; found a mapping"),
        ("retries: 3", "8:18: 'retries' must be a mapping; found the number 3"),
        ("retries: {max: 50}", "8:24: 'max' must be at most 20; found the number 50"),
        ("retries: {max: 1.5}", "8:24: 'max' must be a whole number; found the number 1.5"),
        ("retries: {max: -1}", "8:24: 'max' must be 0 or more; found the number -1"),
        ("retries: {maximum: 3}", "8:19: unknown key 'maximum' in 'retries'"),
        ("retries: {backoff: exponental}", "8:28: 'backoff' must be 'constant', 'linear' or 'exponential'; found"),
        ("effects: {prob: x}", "8:19: unknown key 'prob' in 'effects'"),
        ("effects: maybe", "8:18: 'effects' must be true or false or a mapping; found the text 'maybe'"),
        ("compensate: {rn: shell, with: {command: x}}", "8:22: unknown key 'rn' in 'compensate'"),
        ("env: {A: [1]}", "8:18: 'A' must be text, a number or true or false; found a list"),
        ("env: {a-b: 1}", "8:15: the key 'a-b' must be a variable name (letters, digits and '_', no digit first)"),
        ("secrets: [a-b]", "8:19: an item of 'secrets' must be a variable name"),
        ("cache_key: {a: 1}", "8:20: 'cache_key' must be text; found a mapping"),
        ("matrix: [1]", "8:17: 'matrix' must be a mapping; found a list"),
    ],
)
def test_a_wrong_key_or_value_of_a_step_is_named_with_its_place(line: str, message: str) -> None:
    found = first_lines(one_step(line))
    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STAGES, "1:1: the key 'name' is missing"),
        (HEAD, "1:1: the key 'stages' is missing"),
        (HEAD + "stages: []\n", "2:9: 'stages' must not be empty"),
        (HEAD + "stages: {}\n", "2:9: 'stages' must be a list; found a mapping"),
        (HEAD + "stage: x\n" + STAGES, "2:1: unknown key 'stage'"),
        ("name: my product\n" + STAGES, "1:7: 'name' must be a name (letters, digits, '-' and '_', a letter first"),
        (HEAD + "stages: [{name: a}]\n", "2:10: a stage has either 'steps' (one after another) or 'parallel'"),
        (HEAD + "stages: [{name: a, steps: []}]\n", "2:27: 'steps' must not be empty"),
        (HEAD + "stages: [{steps: [{run: test.unit}]}]\n", "2:10: the key 'name' of a stage is missing"),
        (HEAD + "stages: [{name: a, steps: [{id: b}]}]\n", "2:28: the key 'run' of a step is missing"),
        (
            HEAD + "stages: [{name: a, steps: [test.unit]}]\n",
            "2:28: a step must be a mapping; found the text 'test.unit'",
        ),
        (HEAD + "stages: [{name: a, steps: [{run: }]}]\n", "2:34: 'run' must be text; found nothing"),
        (HEAD + "params: {a: {type: int}}\n" + STAGES, "2:20: 'type' must be 'string', 'integer', 'number'"),
        (HEAD + "params: {a: 3}\n" + STAGES, "2:13: 'a' must be a mapping; found the number 3"),
        (
            HEAD + "params: {a: {type: integer, default: x}}\n" + STAGES,
            "2:38: the default of 'a' must be a whole number",
        ),
        (HEAD + "params: {a: {type: number, default: true}}\n" + STAGES, "2:37: the default of 'a' must be a number"),
        (
            HEAD + "params: {a: {type: list, default: }}\n" + STAGES,
            "2:35: the default of 'a' must be a list, as its type",
        ),
        (
            HEAD + "params: {a: {enum: [x, y], default: z}}\n" + STAGES,
            "2:37: the default of 'a' is not among the values",
        ),
        (
            HEAD + "params: {a: {type: boolean, enum: [3]}}\n" + STAGES,
            "2:36: the parameter is of type boolean; found the",
        ),
        (HEAD + "secrets: {A: {provider: file}}\n" + STAGES, "2:14: a secret of provider 'file' needs 'path'"),
        (HEAD + "secrets: {A: {path: x}}\n" + STAGES, "2:14: 'path' belongs to provider 'file'; add provider: file"),
        (
            HEAD + "secrets: {A: {provider: vault}}\n" + STAGES,
            "2:25: 'provider' must be 'env' or 'file'; found the text",
        ),
        (HEAD + "secrets: [A, B, A]\n" + STAGES, "2:17: 'A' is listed twice"),
        (HEAD + "description: '{{ git.sha }}'\n" + STAGES, "2:14: 'description' takes no expression"),
    ],
)
def test_a_mistake_at_the_top_or_in_a_stage_is_named_with_its_place(text: str, message: str) -> None:
    found = first_lines(text)
    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    ("with_", "message"),
    [
        ("{comand: make}", "unknown key 'comand'"),
        ("{command: [make]}", "'command' must be text; found a list"),
        ("{command: }", "'command' must be text; found nothing"),
        ("{command: ''}", "'command' must not be empty"),
        ("{command: x, shell: zsh}", "'shell' must be 'bash' or 'sh'; found the text 'zsh'"),
        ("{command: x, attempts: many}", "'attempts' must be a whole number; found the text 'many'"),
        ("{command: x, attempts: 0}", "'attempts' must be 1 or more; found the number 0"),
        ("{command: x, strict: 3}", "'strict' must be true or false; found the number 3"),
        ("{command: x, arguments: y}", "'arguments' must be a list; found the text 'y'"),
        ("[x]", "'with' must be a mapping; found a list"),
    ],
)
def test_the_parameters_of_a_kind_are_checked(with_: str, message: str) -> None:
    found = first_lines(one_step().replace("{command: make}", with_))
    assert any(message in line and line.startswith("7:") for line in found), found


def test_a_missing_parameter_is_shown_at_with() -> None:
    found = first_lines(one_step().replace("{command: make}", "{strict: true}"))
    assert found == ["7:9: the key 'command' is missing"]
    assert first_lines(one_step().replace("        with: {command: make}\n", "")) == [
        "5:9: the key 'command' is missing"
    ]


def test_inner_models_and_rules_of_a_kind_are_reported_too() -> None:
    step = "name: x\nstages:\n  - name: a\n    steps:\n      - {run: build.python, with: %s}\n"
    assert first_lines(step % "{limits: {memry: 3}}") == ["5:45: unknown key 'memry' in 'limits'"]
    assert first_lines(step % "{wheel: false, sdist: false}") == [
        "5:35: 'wheel' and 'sdist' are both false, so there is nothing to build"
    ]


def test_no_message_has_the_words_of_a_library() -> None:
    text = one_step(
        "retries: {max: x, jitter: 3}", "timeout: x", "secrets: 3", "network: {a: 1}", "owners: x", "id: [3]"
    )
    for shown in problems(text):
        for word in ("Input should", "pydantic", "http", "type=", "str_", "Value error", "dict", "[key]"):
            assert word not in shown


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = (
        "name: x\nnam: y\nstages:\n  - name: a\n    steps:\n      - {id: one, run: shel}\n"
        "      - {id: two, run: shell, with: {command: '{{ param.a }}'}, timeout: soon}\n"
        "      - {id: two, run: shell, with: {command: x}, depends_on: [on]}\n"
    )
    assert [line.split(": ", 1)[1].partition(";")[0].partition(" in '{{")[0] for line in first_lines(text)] == [
        "unknown key 'nam'",
        "unknown step kind 'shel'",
        "unknown name 'param'",
        "'soon' is not a duration",
        "two steps have the id 'two'",
        "unknown step 'on'",
    ]


def test_a_name_that_a_wrong_part_declares_is_not_reported_as_unknown() -> None:
    text = (
        "name: x\nparams: {level: {type: int}}\nstages:\n  - name: a\n    steps:\n"
        "      - {id: one, run: 3, cache: maybe}\n"
        "      - {id: two, run: shell, with: {command: '{{ params.level }}'}, depends_on: [one]}\n"
    )
    assert [line.partition(":")[0] for line in first_lines(text)] == ["2", "6", "6"]  # the type, the kind, the cache


@pytest.mark.parametrize(
    ("text", "allowed", "suggestion"),
    [
        (one_step("depend_on: []"), "id, run, with", "depends_on"),
        (one_step("retries: {maxx: 1}"), "max, delay, backoff, jitter", "max"),
        (one_step().replace("run: shell", "run: shel"), None, "shell"),
        (one_step("retries: {backoff: linar}"), None, "linear"),
        (HEAD + "parms: {}\n" + STAGES, "project, description, params", "params"),
    ],
)
def test_a_slip_gets_what_is_allowed_and_the_nearest_name(text: str, allowed: str | None, suggestion: str) -> None:
    with pytest.raises(WorkflowErrors) as caught:
        load(text)
    shown = str(caught.value)
    assert f'did you mean "{suggestion}"?' in shown
    if allowed is not None:
        found = caught.value.problems[0].allowed
        assert found is not None
        assert set(allowed.split(", ")) - {"id", "run", "with"} <= set(found.split(", "))


def test_the_errors_are_bad_input_and_carry_the_first_place() -> None:
    with pytest.raises(WorkflowErrors) as caught:
        load(one_step("timeout: soon", "cache: maybe"))
    assert caught.value.exit_code == 2
    assert str(caught.value.where) == "maestro.yaml:8:18"
    assert caught.value.what.endswith("(and 1 more)")
    assert caught.value.next_step


def test_thousands_of_problems_are_not_all_printed() -> None:
    text = "name: x\nstages:\n  - name: a\n    steps:\n" + "      - {run: nothing}\n" * 200
    with pytest.raises(WorkflowErrors) as caught:
        load(text)
    assert len(caught.value.problems) == 200
    assert str(caught.value).splitlines()[-1] == "… and 150 more problems"
