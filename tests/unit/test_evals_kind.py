"""Step kind ``evals.run``: its report, its cost, and when it passes."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assets.evals import EVALS_RUN, EvalsParams
from maestro.errors import InputError, MaestroError
from maestro.evals.cases import Case
from maestro.evals.history import History
from maestro.evals.weekly import close_week
from maestro.llm.model import Decision, ModelRequest
from maestro.steps import PlanContext, StepKind, StepResult
from tests.unit.eval_models import ScriptedModels, right, wrong
from tests.unit.eval_runs import run_of
from tests.unit.step_harness import Harness


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    workspace, private = tmp_path / "work", tmp_path / "private"
    workspace.mkdir()
    private.mkdir()
    return Harness(workspace, private)


def _kind(models: Any) -> StepKind[EvalsParams]:
    """The kind, with these models in place of a gateway."""

    def run(context: Any, params: EvalsParams) -> StepResult:
        return EVALS_RUN.run(dataclasses.replace(context, find_models=lambda: models), params)

    return dataclasses.replace(EVALS_RUN, run=run)


def _good_week(harness: Harness) -> None:
    """A complete run of an earlier week, with every case right."""
    history = History(harness.artifacts, harness.source.name)
    history.put(run_of("m", "2026-01-05"))
    close_week(history, "code_review", "2026-01-05", ["m"], {})


def _report(harness: Harness, result: StepResult) -> dict[str, Any]:
    found = next(one for one in result.artifacts if one.name == "evals.json")
    return dict(json.loads(harness.artifacts.get_bytes(found.sha256)))


def test_it_leaves_a_page_and_a_report_and_says_what_it_cost(harness: Harness) -> None:
    result = harness.run(_kind(ScriptedModels()), models=["m"])
    assert result.passed
    assert {one.name: one.media_type for one in result.artifacts} == {
        "evals.html": "text/html",
        "evals.json": "application/vnd.maestro.evaluation+json",
    }
    assert result.cost_usd == pytest.approx(0.08)
    assert result.metadata["passed m"] == 1.0
    assert _report(harness, result)["state"] == "first"
    assert "py-page-window: right" in harness.log


def test_a_regression_fails_the_step(harness: Harness) -> None:
    _good_week(harness)
    result = harness.run(_kind(ScriptedModels(wrong)), models=["m"])
    assert not result.passed
    assert result.summary == "worse: m"
    assert result.values == {"state": "regression", "worse": ["m"], "incomplete": []}


def test_a_regression_may_be_only_reported(harness: Harness) -> None:
    _good_week(harness)
    result = harness.run(_kind(ScriptedModels(wrong)), models=["m"], fail_on_regression=False)
    assert result.passed
    assert result.summary == "worse: m"


def test_a_partial_run_never_passes(harness: Harness) -> None:
    _good_week(harness)

    def script(case: Case) -> str | MaestroError:
        return MaestroError("the provider is away") if case.language == "shell" else right(case)

    result = harness.run(_kind(ScriptedModels(script)), models=["m"], fail_on_regression=False)
    assert not result.passed
    assert result.values["incomplete"] == ["m"]
    assert result.values["worse"] == []


def test_a_step_does_not_become_the_baseline_of_the_standing_evaluation(harness: Harness) -> None:
    harness.run(_kind(ScriptedModels()), models=["m"])
    assert History(harness.artifacts, harness.source.name).weeks("code_review", "m") == []


def test_a_model_named_twice_is_asked_once(harness: Harness) -> None:
    models = ScriptedModels()
    harness.run(_kind(models), models=["m", "m"])
    assert len(models.asked) == 80


def test_a_bound_for_each_answer_is_passed_on(harness: Harness) -> None:
    models = ScriptedModels()
    harness.run(_kind(models), models=["m"], max_usd_each=0.002)
    assert {one.max_nano for one in models.asked} == {2_000_000}


def test_without_a_project_it_says_so(harness: Harness) -> None:
    with pytest.raises(InputError, match="an evaluation needs a project"):
        harness.run(EVALS_RUN, models=["m"])


def _plan(workspace: Path, models: Callable[[], Any] = lambda: None) -> PlanContext:
    return PlanContext(workspace, lambda _name: None, find_models=models)


def test_a_data_set_that_is_not_there_is_told_while_planning(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no data set 'cases'"):
        EVALS_RUN.requires(_plan(tmp_path), EvalsParams(models=["m"], dataset="cases"))


def test_a_missing_interpreter_is_told_while_planning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAESTRO_EVALS_PYTHON", "/nowhere/python")
    with pytest.raises(InputError, match="names '/nowhere/python', which cannot be run"):
        EVALS_RUN.requires(_plan(tmp_path), EvalsParams(models=["m"], runner="inspect"))


def test_the_plan_says_what_it_may_cost_at_most(tmp_path: Path) -> None:
    forecast = EVALS_RUN.forecast(_plan(tmp_path, ScriptedModels), EvalsParams(models=["m", "n"]))
    assert forecast is not None
    assert forecast.by == "80 cases for each of m, n"


class Elsewhere(ScriptedModels):
    """Models in whose place the offline provider answers."""

    def decide(self, request: ModelRequest) -> Decision:
        return dataclasses.replace(super().decide(request), chosen="offline", why="m has no key.")


def test_the_plan_says_who_would_answer_in_place_of_a_model_that_is_not_set_up(tmp_path: Path) -> None:
    forecast = EVALS_RUN.forecast(_plan(tmp_path, Elsewhere), EvalsParams(models=["m"]))
    assert forecast is not None
    assert forecast.refused is not None
    assert "m would be answered by offline, which is not to be evaluated: m has no key; set up the model" in forecast.by
    assert "`maestro llm health` shows what is missing" in forecast.refused


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("either", r"'either' is a route: .*\n.*name models themselves under `models`; of this route: m, n"),
        ("code", r"'code' is a capability: .*\n.*of this capability: m, n"),
        ("mm", "'mm' is no model, no route and no capability; nearest: model m"),
    ],
)
def test_what_is_not_one_model_is_refused_while_planning_and_while_running(
    harness: Harness, tmp_path: Path, name: str, told: str
) -> None:
    models = ScriptedModels()
    with pytest.raises(InputError, match=told) as planned:
        EVALS_RUN.forecast(_plan(tmp_path, lambda: models), EvalsParams(models=[name]))
    assert EVALS_RUN.final_word(planned.value)
    with pytest.raises(InputError, match=told):
        harness.run(_kind(models), models=[name])
    assert models.asked == []


def test_a_model_that_could_not_be_asked_is_told_with_why_once_in_summary_log_page_and_report(harness: Harness) -> None:
    result = harness.run(_kind(Elsewhere()), models=["m"])
    why = "the model 'm' cannot be evaluated: it would be answered by 'offline'. m has no key"
    assert result.summary == f"partial, not compared: m; {why}"
    assert harness.log.count(why) == 1
    page = next(one for one in result.artifacts if one.name == "evals.html")
    text = html.unescape(harness.artifacts.get_bytes(page.sha256).decode())
    assert text.count(why) == 1
    assert f"Partial: {why}.</p>" in text
    (model,) = _report(harness, result)["models"]
    assert model["problem"] == why
    assert model["comparison"]["notes"] == []


def test_each_model_has_its_own_reason_and_a_common_one_is_told_once(harness: Harness) -> None:
    result = harness.run(_kind(ScriptedModels(lambda _case: MaestroError("it is away"))), models=["m", "n"])
    assert result.summary.startswith("partial, not compared: m, n; ")
    assert result.summary.count("it is away") == 1


@pytest.mark.parametrize(
    "params", [{"models": []}, {"models": ["m"], "runner": "other"}, {"models": ["m"], "at_once": 0}]
)
def test_parameters_that_make_no_sense_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EvalsParams.model_validate(params)


def test_results_are_never_taken_from_the_step_cache() -> None:
    assert not EVALS_RUN.cached(EvalsParams(models=["m"]))
