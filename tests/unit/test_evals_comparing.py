"""A model is only called worse when the paired test proves it, and only called the same when it could have been."""

from __future__ import annotations

from maestro.evals.comparing import compare
from maestro.evals.results import ModelRun
from tests.unit.eval_runs import WEEK, WEEK_BEFORE, run_of


def _before(**more: object) -> ModelRun:
    return run_of(week=WEEK_BEFORE, **more)


def test_a_proven_drop_is_a_regression_and_names_the_cases() -> None:
    found = compare({"m": (run_of(fails=lambda number: number < 8), _before())})["m"]
    assert found.state == "regression"
    assert len(found.worse) == 8
    assert found.baseline == WEEK_BEFORE
    assert found.sentence.startswith(f"It became worse: 72 of 80 cases pass, 80 did in the week {WEEK_BEFORE}")


def test_a_proven_rise_is_an_improvement() -> None:
    found = compare({"m": (run_of(), _before(fails=lambda number: number < 8))})["m"]
    assert found.state == "improvement"


def test_a_small_drop_is_no_regression_and_says_what_would_have_been_seen() -> None:
    found = compare({"m": (run_of(fails=lambda number: number < 3), _before())})["m"]
    assert found.state == "no_difference_seen"
    assert found.detectable is not None
    assert f"a drop of less than {found.detectable * 100:.0f} percentage points would probably not be" in found.sentence


def test_few_cases_are_a_state_of_their_own() -> None:
    found = compare({"m": (run_of(cases=12), _before(cases=12))})["m"]
    assert found.state == "not_enough_cases"
    assert "There are not enough cases to tell" in found.sentence


def test_a_drop_that_is_proven_with_few_cases_is_a_regression_all_the_same() -> None:
    found = compare({"m": (run_of(cases=12, fails=lambda _number: True), _before(cases=12))})["m"]
    assert found.state == "regression"


def test_so_few_cases_that_nothing_can_be_seen_are_told() -> None:
    found = compare({"m": (run_of(cases=4, fails=lambda _number: True), _before(cases=4))})["m"]
    assert found.state == "not_enough_cases"
    assert found.detectable is None
    assert "no drop at all could be noticed" in found.sentence


def test_with_many_models_a_single_one_must_differ_more() -> None:
    alone = compare({"m": (run_of(fails=lambda number: number < 7), _before())})["m"]
    others = {
        f"other{number}": (run_of(f"other{number}"), run_of(f"other{number}", WEEK_BEFORE)) for number in range(9)
    }
    among = compare({"m": (run_of(fails=lambda number: number < 7), _before()), **others})["m"]
    assert alone.state == "regression"
    assert among.state != "regression"
    assert among.adjusted is not None
    assert alone.adjusted is not None
    assert among.adjusted > alone.adjusted


def test_a_partial_run_is_never_compared() -> None:
    partial = run_of().model_copy(update={"state": "partial", "problem": "the budget is used up"})
    found = compare({"m": (partial, _before())})["m"]
    assert (found.state, found.p) == ("incomplete", None)
    # The report of the run says why, once.
    assert found.notes == ()


def test_without_an_earlier_run_nothing_is_said() -> None:
    assert compare({"m": (run_of(), None)})["m"].state == "first"


def test_only_cases_that_are_the_same_are_compared() -> None:
    found = compare({"m": (run_of(), _before(cases=50))})["m"]
    assert found.pairs == 50
    assert "the 50 cases both have are compared" in found.notes[0]


def test_another_prompt_is_noted() -> None:
    before = _before()
    asked = before.asked.model_copy(update={"prompt_digest": "sha256:0", "prompt": "old 1"})
    found = compare({"m": (run_of(), before.model_copy(update={"asked": asked}))})["m"]
    assert "the prompt changed since (old 1" in found.notes[0]


def test_runs_scored_by_other_rules_are_not_compared() -> None:
    before = _before()
    asked = before.asked.model_copy(update={"scorer": "0"})
    found = compare({"m": (run_of(fails=lambda _number: True), before.model_copy(update={"asked": asked}))})["m"]
    assert found.state == "first"
    assert found.notes == (f"the week {WEEK_BEFORE} was scored by other rules",)


def test_the_order_of_models_is_kept() -> None:
    runs = {name: (run_of(name, WEEK), None) for name in ("b", "a")}
    assert list(compare(runs)) == ["b", "a"]
