"""Names that must exist or be unique, cycles, matrices, and keys that do not go together."""

from __future__ import annotations

import pytest

from maestro.workflow.check_order import cycles
from tests.unit.workflow_kinds import first_lines, load, one_step, problems


def stages(*texts: str) -> str:
    return "name: product\nstages:\n" + "".join(f"  - {text}\n" for text in texts)


def step(step_id: str, more: str = "") -> str:
    return f"{{id: {step_id}, run: test.unit{', ' + more if more else ''}}}"


def test_two_steps_with_one_id_are_reported_with_both_places() -> None:
    text = stages(f"{{name: a, steps: [{step('one')}]}}", f"{{name: b, steps: [{step('one')}]}}")
    assert first_lines(text) == ["4:28: two steps have the id 'one'; the first at maestro.yaml:3:28"]


def test_two_stages_with_one_name_are_reported_with_both_places() -> None:
    text = stages(f"{{name: a, steps: [{step('one')}]}}", f"{{name: a, steps: [{step('two')}]}}")
    assert first_lines(text) == ["4:12: two stages are named 'a'; the first at maestro.yaml:3:12"]


def test_finally_is_no_name_for_a_stage() -> None:
    assert first_lines(stages(f"{{name: finally, steps: [{step('one')}]}}")) == [
        "3:12: the name 'finally' is taken by the steps at the run's end"
    ]


def test_ids_whose_assets_would_share_a_name_are_refused() -> None:
    text = stages(f"{{name: a, steps: [{step('b-c')}, {step('b_c')}]}}")
    assert first_lines(text) == ["3:55: the asset of 'a/b_c' would have the same name as that of 'a/b-c', a__b_c"]
    joined = stages(f"{{name: a__b, steps: [{step('c')}]}}", f"{{name: a, steps: [{step('b__c')}]}}")
    assert "would have the same name" in first_lines(joined)[0]


def test_an_unknown_dependency_gets_the_nearest_id() -> None:
    text = stages(f"{{name: a, steps: [{step('compile')}, {step('two', 'depends_on: [compil]')}]}}")
    assert problems(text)[0].splitlines()[0] == "maestro.yaml:3:93: unknown step 'compil'"
    assert problems(text)[0].splitlines()[-2:] == ["  allowed: compile", '  did you mean "compile"?']


def test_an_unknown_stage_under_needs_gets_the_nearest_name() -> None:
    text = stages(f"{{name: build, steps: [{step('one')}]}}", f"{{name: b, needs: [buidl], steps: [{step('two')}]}}")
    assert problems(text)[0].splitlines()[0] == "maestro.yaml:4:23: unknown stage 'buidl'"
    assert problems(text)[0].splitlines()[-1] == '  did you mean "build"?'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            stages(f"{{name: s, parallel: [{step('a', 'depends_on: [b]')}, {step('b', 'depends_on: [a]')}]}}"),
            "3:63: steps wait for each other: a -> b -> a",
        ),
        (
            stages(f"{{name: s, parallel: [{step('a', 'depends_on: [a]')}]}}"),
            "3:63: the step waits for itself: a -> a",
        ),
        (
            stages(f"{{name: s, steps: [{step('a', 'depends_on: [b]')}, {step('b')}]}}"),
            "3:60: steps wait for each other: a -> b -> a ('b' waits for 'a': stands after it)",
        ),
        (
            stages(f"{{name: s, steps: [{step('a', 'depends_on: [b]')}]}}", f"{{name: t, steps: [{step('b')}]}}"),
            "3:60: steps wait for each other: a -> b -> a ('b' waits for 'a': its stage comes after that one's)",
        ),
        (
            stages(f"{{name: s, needs: [t], steps: [{step('a')}]}}", f"{{name: t, steps: [{step('b')}]}}"),
            "3:23: stages wait for each other: s -> t -> s",
        ),
        (stages(f"{{name: s, needs: [s], steps: [{step('a')}]}}"), "3:23: the stage waits for itself: s -> s"),
    ],
)
def test_a_cycle_is_printed_as_a_path(text: str, message: str) -> None:
    assert first_lines(text) == [message]


def test_each_group_of_waiting_steps_gives_one_shortest_cycle() -> None:
    edges = {"a": {"b"}, "b": {"c", "a"}, "c": {"a"}, "d": {"a"}, "e": {"f"}, "f": {"e"}, "g": {"g"}}
    assert cycles(edges) == [["a", "b", "a"], ["e", "f", "e"], ["g", "g"]]


def test_a_chain_of_a_thousand_steps_is_no_cycle() -> None:
    assert cycles({str(n): {str(n + 1)} if n < 999 else set() for n in range(1000)}) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("network: true", "8:9: 'network' only means something with 'sandbox: true'"),
        ("secrets: [TOKEN]", "8:19: unknown secret 'TOKEN'"),
        ("secrets: {T: TOKEN}", "8:22: unknown secret 'TOKEN'"),
        ("outputs: [/etc/passwd]", "8:19: '/etc/passwd' lies outside the workspace"),
        ("outputs: {a: ../b}", "8:22: '../b' lies outside the workspace"),
        ("inputs: [src/../../b]", "8:18: 'src/../../b' lies outside the workspace"),
        ("owners: ['{{ git.author }}']", "8:18: an item of 'owners' must be an email address or team:NAME"),
        ("matrix: {}", "8:9: the matrix is empty: no cell is left"),
        ("matrix: {a: []}", "8:9: the matrix is empty: no cell is left"),
        ("matrix: {a: [1], exclude: [{a: 1}]}", "8:9: the matrix is empty: no cell is left"),
        ("matrix: {a: x}", "8:21: the axis 'a' must be a list, or an expression that gives one"),
        ("matrix: {a: [1], exclude: [{b: 1}]}", "8:37: unknown axis 'b': this rule excludes nothing"),
        ("matrix: {python: [3.9, 3.10]}", "8:32: '3.10' is the number 3.1; put it in quotes if the text is meant"),
        ("compensate: {run: shel}", "8:27: unknown step kind 'shel'"),
        ("compensate: {with: {comand: x}}", "8:29: unknown key 'comand'"),
    ],
)
def test_what_does_not_go_together_in_a_step_is_refused(line: str, message: str) -> None:
    found = first_lines(one_step(line))
    assert any(shown.startswith(message) for shown in found), found


def test_a_matrix_of_ten_thousand_cells_is_refused_with_the_limit() -> None:
    axis = ", ".join(str(n) for n in range(100))
    shown = problems(one_step(f"matrix: {{a: [{axis}], b: [{axis}]}}"))[0]
    assert shown.startswith("maestro.yaml:8:9: the matrix has 10,000 cells; at most 256 are allowed")
    assert "allowed: shorten an axis, split the step" in shown


def test_secrets_and_env_must_not_set_one_variable() -> None:
    text = one_step("secrets: [TOKEN]", "env: {TOKEN: x}").replace("stages:", "secrets: [TOKEN]\nstages:")
    assert first_lines(text) == ["9:19: the variable 'TOKEN' is set by this secret and by the step's 'env'; keep one"]
    shared = one_step("secrets: [TOKEN]").replace("stages:", "env: {TOKEN: x}\nsecrets: [TOKEN]\nstages:")
    assert "by the workflow's 'env'" in first_lines(shared)[0]


def test_steps_under_finally_have_no_order_and_no_compensation() -> None:
    text = one_step() + "finally:\n  - {run: test.unit, depends_on: [only], compensate: {with: {command: x}}}\n"
    assert first_lines(text) == [
        "9:22: a step under 'finally' cannot have 'depends_on': it runs after all others",
        "9:42: a step under 'finally' cannot have 'compensate': it runs after all others",
    ]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("{{ params.leval }}", "unknown parameter 'params.leval'"),
        ("{{ parms.level }}", "unknown name 'parms'"),
        ("{{ git.shaa }}", "unknown git value 'git.shaa'"),
        ("{{ run.name }}", "unknown run value 'run.name'"),
        ("{{ env.HOME }}", "unknown variable 'env.HOME'"),
        ("{{ matrix.python }}", "unknown matrix axis 'matrix.python'"),
        ("{{ steps.other.outputs.x }}", "unknown step 'steps.other'"),
        ("{{ steps.only.outputs.x }}", "the step 'only' uses its own result"),
        ("{{ steps[params.level].outputs.x }}", "a step must be named"),
        ("{{ secrets.TOKEN }}", "secrets are not available in expressions"),
        ("{{ files['a'].digest }}", "a file has no 'digest'"),
        ("{{ package.json.name }}", "unknown name 'package.json.name'"),
        ("{{ params.level + }}", "the expression has a syntax error: something is missing at its end"),
        ("{{ params.level level }}", "the expression has a syntax error: unexpected 'level'"),
        ("{{ params.level | uper }}", "there is no filter 'uper'"),
        ("{{ params.level is evn }}", "there is no test 'evn'"),
        ("{{ range(3) }}", "'range' cannot be called"),
        ("{{ params.level", "an expression is opened with '{{' and not closed"),
        ("{{ }}", "the expression '{{ }}' is empty"),
        ("{% if true %}x{% endif %}", "'{% if true %}' is a statement; a workflow has only expressions"),
    ],
)
def test_a_wrong_expression_is_named(expression: str, message: str) -> None:
    text = one_step().replace("command: make", f'command: "{expression}"')
    text = text.replace("stages:", "params: {level: {type: integer, default: 1}}\nstages:")
    found = first_lines(text)
    assert len(found) == 1
    assert message in found[0]
    assert found[0].startswith("8:")


@pytest.mark.parametrize(
    "scalar",
    [
        "echo {{ git.sha }} {{ oops }}",
        "'echo {{ git.sha }} {{ oops }}'",
        '"echo \\"x\\" {{ git.sha }} {{ oops }}"',
        "'it''s {{ oops }}'",
        "|\n            echo {{ git.sha }}\n            echo {{ oops }}",
        ">-\n            echo {{ git.sha }}\n            echo {{ 1 }} {{ oops }}",
        "&anchor 'x {{ oops }}'",
    ],
)
def test_the_place_of_a_wrong_name_is_exact_in_every_style_of_text(scalar: str) -> None:
    text = one_step().replace("{command: make}", f"\n          command: {scalar}")
    found = first_lines(text)
    assert len(found) == 1
    line, column = (int(part) for part in found[0].split(":")[:2])
    assert text.splitlines()[line - 1][column - 1 :].startswith("oops")


def test_a_secret_in_an_expression_says_how_to_use_one() -> None:
    shown = problems(one_step().replace("make", "'{{ secrets.TOKEN }}'"))[0]
    assert "allowed: list it under the step's 'secrets' and read the environment variable" in shown


def test_the_result_of_a_step_needs_an_order() -> None:
    parallel = stages(
        f"{{name: a, parallel: [{step('one')}, "
        "{id: two, run: shell, with: {command: '{{ steps.one.passed }}'}}]}"
    )
    assert (
        "step 'two' does not wait for 'one', whose result it uses; add it to 'depends_on'" in first_lines(parallel)[0]
    )
    load(parallel.replace("id: two,", "id: two, depends_on: [one],"))
    load(parallel.replace("parallel", "steps"))


def test_an_order_through_stages_and_other_steps_is_enough() -> None:
    load(
        stages(
            f"{{name: a, steps: [{step('one')}]}}",
            f"{{name: b, steps: [{step('two')}]}}",
            "{name: c, when: steps.one.passed, steps: "
            "[{id: x, run: shell, with: {command: '{{ steps.one.outputs.y }}'}}]}",
        )
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("matrix: {a: '{{ steps.one.outputs.x }}'}", "a matrix knows only parameters, not 'steps'"),
        ("matrix: {a: ['{{ git.sha }}']}", "a matrix knows only parameters, not 'git'"),
        ("matrix: {a: [1], include: [{b: '{{ params.x }}'}]}", "'include' takes no expression"),
        ("pool: '{{ git.sha }}'", "'pool' takes no expression"),
        ("effects: {probe: '{{ git.sha }}'}", "'effects' takes no expression"),
        ("inputs: ['{{ steps.one.output }}']", "a step has no 'output'"),
        ("outputs: ['{{ git.shaa }}']", "unknown git value 'git.shaa'"),
        ("when: '{{ steps.one.pased }}'", "a step has no 'pased'"),
        ("when: 'x {{ params.a }}'", "a condition is one expression; text stands around its braces"),
        ("when: ''", "the condition is empty"),
        ("when:", "'when' is empty"),
        ("when: changed()", "'changed' needs a glob"),
        ("env: {A: '{{ env.B }}'}", "unknown variable 'env.B'"),
        ("compensate: {with: {command: '{{ steps.two.passed }}'}}", "unknown step 'steps.two'"),
    ],
)
def test_each_key_takes_the_names_that_are_known_by_then(line: str, message: str) -> None:
    text = one_step(line, "depends_on: [one]").replace("    steps:\n", f"    steps:\n      - {step('one')}\n")
    found = first_lines(text)
    assert any(message in shown for shown in found), found


def test_a_compensation_may_use_its_own_steps_result_and_finally_that_of_all() -> None:
    load(
        one_step("compensate: {with: {command: '{{ steps.only.outputs.id }}'}}")
        + "finally:\n  - {run: shell, with: {command: '{{ steps.only.passed }}'}}\n"
    )


def test_an_axis_with_a_hyphen_says_how_to_write_it() -> None:
    text = one_step("matrix: {node-version: [20]}").replace("make", "'{{ matrix.node-version }}'")
    shown = problems(text)
    assert any("write matrix['node-version'], because '-' is a subtraction" in line for line in shown)
    load(one_step("matrix: {node-version: [20]}").replace("make", "\"{{ matrix['node-version'] }}\""))


def test_a_step_with_a_matrix_has_cells_instead_of_outputs() -> None:
    text = stages(
        "{name: a, steps: [{id: one, run: test.unit, matrix: {n: [1, 2]}}, "
        "{id: two, run: shell, with: {command: \"{{ steps.one.cells['1'].outputs.x }}\"}}]}"
    )
    load(text)
    wrong = first_lines(text.replace("steps.one.cells['1'].outputs.x", "steps.one.outputs.x"))
    assert len(wrong) == 1
    assert "a step with a matrix has no 'outputs'" in wrong[0]


def test_the_workflows_env_knows_no_step() -> None:
    text = one_step().replace("stages:", "env: {A: '{{ steps.only.passed }}', B: '{{ matrix.x }}'}\nstages:")
    shown = first_lines(text)
    assert "the workflow's 'env' is decided while planning" in shown[0]
    assert "unknown matrix axis 'matrix.x'" in shown[1]
