"""Weights follow from what was measured, cautiously; a file keeps everything but the numbers."""

from __future__ import annotations

import pytest
import yaml

from maestro.errors import InputError
from maestro.evals.comparing import compare
from maestro.evals.results import ModelRun
from maestro.evals.weights import ProposedWeight, propose
from maestro.evals.weights_file import with_weights
from tests.unit.eval_runs import WEEK, WEEK_BEFORE, run_of


def _proposed(*runs: ModelRun, now: dict[str, float] | None = None) -> dict[str, ProposedWeight]:
    compared = compare({run.model: (run, None) for run in runs})
    return {one.model: one for one in propose(runs, compared, now or {})}


def test_the_best_model_weighs_1_and_the_others_less() -> None:
    found = _proposed(run_of("good"), run_of("poor", fails=lambda number: number % 2 == 0))
    assert found["good"].proposed == 1.0
    assert found["poor"].proposed == pytest.approx(0.41, abs=0.03)
    assert found["poor"].why == "50% of 80 cases pass, at least 39% with 95 % confidence"


def test_no_weight_goes_below_a_tenth() -> None:
    found = _proposed(run_of("good"), run_of("bad", fails=lambda _number: True))
    assert found["bad"].proposed == 0.1


def test_a_small_change_is_not_proposed() -> None:
    found = _proposed(run_of("good"), run_of("near", fails=lambda number: number < 2), now={"near": 0.97})
    assert not found["near"].changes


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": "partial", "problem": "the budget is used up"}, "its run is partial: the budget is used up"),
        ({"offline": True}, "its answers are made without a model"),
    ],
)
def test_what_was_not_measured_keeps_its_weight(changes: dict[str, object], why: str) -> None:
    run = run_of("odd", fails=lambda _number: True).model_copy(update=changes)
    found = _proposed(run_of("good"), run, now={"odd": 0.5})["odd"]
    assert (found.proposed, found.changes, found.why) == (0.5, False, why)


def test_few_cases_keep_the_weight() -> None:
    assert not _proposed(run_of("few", cases=10), now={"few": 0.5})["few"].changes


def test_a_weight_never_rises_after_a_regression() -> None:
    worse = run_of("m", WEEK, fails=lambda number: number < 10)
    compared = compare({"m": (worse, run_of("m", WEEK_BEFORE))})
    found = propose([worse], compared, {"m": 0.6})[0]
    assert compared["m"].state == "regression"
    assert found.proposed == 0.6
    assert "it became worse, so its weight does not rise" in found.why


def test_where_nothing_passes_every_weight_stays() -> None:
    assert not _proposed(run_of("bad", fails=lambda _number: True), now={"bad": 0.8})["bad"].changes


FILE = """# Models of the shop.
models:
  # The cheap one.
  gpt-4o-mini:
    quality: 0.6   # measured by hand
    weight: 1.0  # equal for now
  claude: {quality: 0.8}
  'qwen3:8b':
routes:
  cheap: { candidates: [gpt-4o-mini] }
"""


def test_only_the_numbers_change() -> None:
    found = with_weights(FILE, {"gpt-4o-mini": 0.75})
    assert found == FILE.replace("weight: 1.0  #", "weight: 0.75  #")


def test_models_get_a_weight_however_they_are_written() -> None:
    found = with_weights(FILE, {"claude": 0.9, "qwen3:8b": 0.4, "mistral-small": 0.5})
    models = yaml.safe_load(found)["models"]
    assert models["claude"] == {"quality": 0.8, "weight": 0.9}
    assert models["qwen3:8b"] == {"weight": 0.4}
    assert models["mistral-small"] == {"weight": 0.5}
    assert "# The cheap one." in found
    assert "# measured by hand" in found


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "routes: {}", "models:\n", "models: {}\nroutes: {}\n", "models: # none\n"]
)
def test_a_file_without_models_gets_them(text: str) -> None:
    found = yaml.safe_load(with_weights(text, {"a": 0.5, "yes": 0.25}))
    assert found["models"] == {"a": {"weight": 0.5}, "yes": {"weight": 0.25}}


def test_setting_what_is_set_changes_nothing() -> None:
    once = with_weights(FILE, {"claude": 0.9, "mistral-small": 0.5})
    assert with_weights(once, {"claude": 0.9, "mistral-small": 0.5}) == once


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: [", "models.yaml:1:10: this is no YAML"),
        ("models: [a]", "`models` is no mapping"),
        ("- a", "`models` is no mapping"),
        ("{models: {a: {quality: 1}}}", "cannot be set in place"),
        ("models:\n  a: &x\n    quality: 1\n  b: *x\n", "cannot be set in place"),
        ("models:\n  b: 7\n", "cannot be set in place"),
    ],
)
def test_a_file_that_cannot_be_changed_is_told(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        with_weights(text, {"b": 0.5})
    assert said in str(caught.value)
