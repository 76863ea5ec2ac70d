"""``budget`` in the workflow file."""

from __future__ import annotations

import pytest

from maestro.workflow.budget import Amounts
from tests.unit.workflow_kinds import first_lines, load, one_step


def with_budget(text: str) -> str:
    return f"budget: {text}\n" + one_step()


def test_a_number_is_dollars() -> None:
    budget = load(with_budget("{ run: 2, step: 0.5 }")).workflow.budget
    assert budget is not None
    assert budget.limits == {"step": Amounts(usd=0.5), "run": Amounts(usd=2.0)}


def test_other_units_are_given_by_name() -> None:
    budget = load(with_budget("{ month: { usd: 100, tokens: 5000000, runs: 400, minutes: 90.5, gigabytes: 3 } }"))
    assert budget.workflow.budget is not None
    assert budget.workflow.budget.limits["month"].runs == 400


@pytest.mark.parametrize("scope", ["step", "run", "pull_request", "month"])
def test_every_scope_has_a_budget_of_tokens(scope: str) -> None:
    budget = load(with_budget(f"{{ {scope}: {{ tokens: 400000 }} }}")).workflow.budget
    assert budget is not None
    assert budget.limits == {scope: Amounts(tokens=400_000)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ run: -1 }", "'run' must be 0.0 or more"),
        ("{ run: much }", "'run' must be a mapping or a number"),
        ("{ run: .inf }", "'.inf' is not a finite number"),
        ("{ run: { tokens: -1 } }", "'tokens' must be 0 or more"),
        ("{ run: { tokens: 1.5 } }", "'tokens' must be"),
        ("{ run: { tokens: 200k } }", "'tokens' must be"),
        ("{ week: 3 }", "unknown key 'week'"),
        ("{ step: { minutes: 3 } }", "a step has no budget of minutes"),
        ("{ run: { runs: 3 } }", "a run has no budget of runs"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    assert said in first_lines(with_budget(text))[0]
