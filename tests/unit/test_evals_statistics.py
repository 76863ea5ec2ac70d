"""Intervals and tests agree with published values, and say how little a small evaluation can see."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.evals.statistics import bootstrap_mean, detectable_drop, holm, mcnemar, percentile, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_without_trials_nothing_is_known() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_more_successes_than_trials_are_no_rate() -> None:
    with pytest.raises(ValueError, match="3 of 2 is no rate"):
        wilson(3, 2)


@given(st.integers(0, 200), st.integers(0, 200))
def test_wilson_holds_the_rate_and_stays_between_0_and_1(successes: int, failures: int) -> None:
    found = wilson(successes, successes + failures)
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(
    ("worse", "better", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (10, 2, 0.0385742), (4, 4, 1.0)]
)
def test_mcnemar_is_the_exact_binomial_test(worse: int, better: int, p: float) -> None:
    assert mcnemar(worse, better) == pytest.approx(p, abs=1e-6)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_does_not_mind_which_way_round(worse: int, better: int) -> None:
    assert mcnemar(worse, better) == mcnemar(better, worse)
    assert 0 < mcnemar(worse, better) <= 1


def test_holm_gives_the_textbook_values() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=6))
def test_holm_only_ever_raises_and_keeps_the_order(values: dict[str, float]) -> None:
    found = holm(values)
    assert all(values[name] <= found[name] <= 1 for name in values)
    ordered = sorted(values, key=values.__getitem__)
    assert [found[name] for name in ordered] == sorted(found.values())


def test_the_bootstrap_is_the_same_again_and_holds_the_mean() -> None:
    values = [1.0, 2.0, 2.0, 3.0, 10.0] * 8
    found = bootstrap_mean(values, "seed")
    assert found is not None
    assert found == bootstrap_mean(values, "seed")
    assert found.value == pytest.approx(3.6)
    assert found.low < 3.6 < found.high


def test_the_bootstrap_of_nothing_is_nothing() -> None:
    assert bootstrap_mean([], "seed") is None


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.95) == 4.0
    assert percentile([], 0.5) == 0.0


def test_five_cases_can_never_show_a_drop() -> None:
    assert detectable_drop(5, 0.05) is None


def test_more_cases_and_fewer_models_show_smaller_drops() -> None:
    eighty, three_hundred = detectable_drop(80, 0.05), detectable_drop(300, 0.05)
    many_models = detectable_drop(80, 0.005)
    assert eighty is not None
    assert three_hundred is not None
    assert many_models is not None
    assert three_hundred < eighty < many_models


def test_the_drop_that_is_said_to_be_seen_is_seen_four_times_in_five() -> None:
    drop = detectable_drop(80, 0.05, noise=0.05)
    assert drop is not None
    chance = random.Random(7)
    noticed = sum(_notices(chance, 80, 0.05 + drop, 0.05) for _ in range(2000)) / 2000
    assert 0.77 < noticed < 0.9


def _notices(chance: random.Random, cases: int, worse: float, better: float) -> bool:
    drawn = [chance.random() for _ in range(cases)]
    down = sum(one < worse for one in drawn)
    up = sum(worse <= one < worse + better for one in drawn)
    return down > up and mcnemar(down, up) <= 0.05


def test_numbers_of_a_thousand_cases_stay_finite() -> None:
    assert math.isfinite(mcnemar(1000, 900))
    assert detectable_drop(1000, 0.01) is not None
