"""From the text of a workflow file to models: what is taken, and how values are read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import Location, MaestroError
from maestro.steps import Registry, StepKind
from maestro.workflow.expressions import ExpressionError
from maestro.workflow.load import load_text
from maestro.workflow.problems import WorkflowErrors
from tests.unit.workflow_kinds import ANALYSE, DELIVER, REGISTRY, first_lines, load, one_step, own_kinds


@pytest.mark.parametrize("text", [ANALYSE, DELIVER])
def test_the_documents_people_were_promised_load_as_they_stand(text: str) -> None:
    loaded = load_text(text.encode(), file="maestro.yaml", registry=own_kinds())
    assert loaded.workflow.version == "1.0.0"


def test_a_kind_that_is_not_there_is_named_with_those_that_are() -> None:
    known = "known kinds: build.python, build.typescript, shell, test.unit"
    assert first_lines(ANALYSE) == [f"6:14: unknown step kind 'litellm.generate'; {known}"]


def test_a_cache_key_under_with_belongs_to_the_step() -> None:
    text = (
        "name: x\nstages:\n  - name: a\n    steps:\n"
        "      - run: build.python\n        with: {cache_key: '{{ git.sha }}'}\n"
    )
    loaded = load(text)
    step = loaded.workflow.stages[0].members[0]
    assert (step.cache_key, step.with_) == ("{{ git.sha }}", {})
    assert loaded.location(("stages", 0, "steps", 0, "cache_key")) == Location("maestro.yaml", 6, 27)


def test_plain_numbers_and_booleans_are_text_where_text_is_wanted_as_they_are_written() -> None:
    loaded = load(
        "name: x\nversion: 1.10\nenv: {VERSION: 3.10, DEBUG: true, PORT: 0080}\n"
        "params:\n  release: {default: 1.0, enum: [1.0, 2.0]}\n"
        "  count: {type: integer, default: 3}\n"
        "stages:\n  - name: a\n    steps:\n      - run: shell\n        with: {command: true, arguments: [1.50, no]}\n"
        "        env: {LEVEL: 1e3}\n"
    )
    workflow = loaded.workflow
    assert workflow.version == "1.10"
    assert workflow.env == {"VERSION": "3.10", "DEBUG": "true", "PORT": "0080"}
    assert workflow.params["release"].default == "1.0"
    assert workflow.params["release"].enum == ["1.0", "2.0"]
    assert workflow.params["count"].default == 3
    step = workflow.stages[0].members[0]
    assert step.with_ == {"command": "true", "arguments": ["1.50", "no"]}
    assert step.env == {"LEVEL": "1e3"}


def test_nothing_is_not_taken_as_text() -> None:
    assert first_lines(one_step("description:")) == ["8:21: 'description' must be text; found nothing"]


def test_an_expression_may_stand_for_any_typed_parameter() -> None:
    loaded = load(one_step("matrix: {n: [1, 2]}").replace("command: make", "command: x, attempts: '{{ matrix.n }}'"))
    rendered = {"command": "x", "attempts": 2}
    path = ("stages", 0, "steps", 0)
    assert loaded.params("shell", rendered, path).attempts == 2


def test_parameters_are_validated_again_once_rendered_with_their_place() -> None:
    loaded = load(one_step("matrix: {n: [0, 2]}").replace("command: make", "command: x, attempts: '{{ matrix.n }}'"))
    with pytest.raises(WorkflowErrors) as caught:
        loaded.params("shell", {"command": "x", "attempts": 0}, ("stages", 0, "steps", 0))
    assert str(caught.value).splitlines()[0] == "maestro.yaml:7:38: 'attempts' must be 1 or more; found the number 0"


def test_rendered_numbers_become_text_where_text_is_wanted() -> None:
    loaded = load(one_step())
    found = loaded.params("shell", {"command": True, "arguments": [1, 2.5]}, ("stages", 0, "steps", 0))
    assert (found.command, found.arguments) == ("true", ["1", "2.5"])


def test_an_error_met_while_rendering_has_its_place() -> None:
    loaded = load(one_step().replace("make", "'echo {{ git.sha }}'"))
    error = ExpressionError("'git' is not defined", expression=" git.sha ", offset=8)
    shown = str(loaded.expression_error(("stages", 0, "steps", 0, "with", "command"), error))
    assert shown.splitlines()[0] == "maestro.yaml:7:34: 'git' is not defined in '{{ git.sha }}'"


def test_keys_that_start_with_x_are_the_readers_own() -> None:
    text = "x-all: &all {timeout: 5m}\n" + one_step("<<: *all")
    assert load(text).workflow.stages[0].members[0].timeout == 300


def test_loading_does_not_import_jinja_or_dagster_until_there_is_an_expression() -> None:
    code = (
        "import sys, maestro.workflow.load as load\n"
        "from maestro.steps.registry import Registry\n"
        "text = b'name: x\\nstages: [{name: a, steps: [{run: nothing}]}]\\n'\n"
        "try: load.load_text(text, file='f', registry=Registry([]))\n"
        "except load.WorkflowErrors as error: print(error)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'jinja2', 'dagster', 'boto3', 'obstore'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert "unknown step kind 'nothing'; known kinds: none is installed" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_thousand_steps_load() -> None:
    steps = "".join(
        f"      - {{id: s{n}, run: shell, when: \"changed('src/{n}/**')\", "
        "with: {command: 'echo {{ git.sha }}'}}\n"
        for n in range(1000)
    )
    loaded = load(f"name: x\nstages:\n  - name: a\n    steps:\n{steps}")
    assert len(loaded.workflow.stages[0].members) == 1000


def test_a_kind_whose_package_is_broken_is_reported_once_with_what_to_do() -> None:
    class Broken(Registry):
        def get(self, name: str) -> StepKind[Any]:
            raise MaestroError(f"step kind '{name}' cannot be loaded", next_step="repair or uninstall 'plugin'")

    text = "name: x\nstages:\n  - name: a\n    steps: [{run: shell}, {run: shell}]\n"
    with pytest.raises(WorkflowErrors) as caught:
        load_text(text.encode(), file="f", registry=Broken([REGISTRY.get("shell")]))
    assert [str(problem).splitlines()[0] for problem in caught.value.problems] == [
        "f:4:19: step kind 'shell' cannot be loaded; repair or uninstall 'plugin'"
    ]


def test_a_cache_key_given_twice_is_refused() -> None:
    text = one_step("cache_key: a").replace("{command: make}", "{command: make, cache_key: b}")
    assert first_lines(text) == ["5:9: 'cache_key' is given twice, here and under 'with'; keep one"]
