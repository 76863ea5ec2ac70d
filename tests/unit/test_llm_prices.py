"""What tokens cost: never less than the provider's list says, and nothing where nobody knows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.ledger.model import NANO
from maestro.llm.model import Usage
from maestro.llm.prices import FREE, Price, Prices, Rate, bundled_map, cost, worst

PLAIN = Price((Rate(150_000_000, 600_000_000, 75_000_000),), "test")
LONG = Price((Rate(1_000, 10_000, 100), Rate(2_000, 15_000, 200, over=200_000)), "test")


def prices(folder: Path, **models: Any) -> Prices:
    path = folder / "map.json"
    path.write_text(json.dumps(models), encoding="utf-8")
    return Prices(path)


def test_a_cost_is_what_the_list_says_rounded_up_to_the_nanodollar() -> None:
    assert cost(PLAIN, Usage(1_000_000, 0)) == NANO * 15 // 100
    assert cost(PLAIN, Usage(1_000_000, 1_000_000, cached_tokens=1_000_000)) == NANO * (75 + 600) // 1000
    assert cost(PLAIN, Usage(0, 0)) == 0
    assert cost(Price((Rate(1, 0, 1),), "test"), Usage(1, 0)) == 1


def test_more_cached_tokens_than_input_are_no_discount() -> None:
    assert cost(PLAIN, Usage(10, 0, cached_tokens=1_000_000)) == cost(PLAIN, Usage(10, 0, cached_tokens=10))


def test_a_long_request_costs_what_long_requests_cost_for_all_of_its_tokens() -> None:
    assert cost(LONG, Usage(200_000, 0)) == 200
    assert cost(LONG, Usage(200_001, 1_000_000)) == 401 + 15_000


def test_free_is_nothing() -> None:
    assert FREE.free
    assert worst(FREE, 10**9, 10**9) == 0
    assert not PLAIN.free


@given(
    most=st.integers(0, 1_000_000),
    max_output=st.integers(0, 200_000),
    used=st.floats(0, 1),
    cached=st.floats(0, 1),
    answered=st.floats(0, 1),
    rates=st.lists(st.integers(0, 10**12), min_size=6, max_size=6),
)
def test_the_worst_case_is_never_less_than_the_true_cost(
    most: int, max_output: int, used: float, cached: float, answered: float, rates: list[int]
) -> None:
    first = Rate(rates[0], rates[1], min(rates[2], rates[0]))
    price = Price((first, Rate(rates[3], rates[4], min(rates[5], rates[3]), over=200_000)), "test")
    tokens = int(most * used)
    usage = Usage(tokens, int(max_output * answered), int(tokens * cached))
    assert cost(price, usage) <= worst(price, most, max_output)


def test_a_price_is_read_from_the_map_in_whole_nanodollars(tmp_path: Path) -> None:
    given_ = {"litellm_provider": "openai", "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07,
              "cache_read_input_token_cost": 7.5e-08}  # fmt: skip
    price = prices(tmp_path, mini=given_).price("mini", provider="openai")
    assert price == Price((Rate(150_000_000, 600_000_000, 75_000_000),), "the price map")


def test_dearer_long_requests_and_thinking_are_read(tmp_path: Path) -> None:
    given_ = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "output_cost_per_reasoning_token": 3e-06,
              "input_cost_per_token_above_200k_tokens": 4e-06, "output_cost_per_token_above_200k_tokens": 8e-06,
              "input_cost_per_token_above_200k_tokens_priority": 9e-06}  # fmt: skip
    price = prices(tmp_path, big=given_).price("big")
    assert price is not None
    assert [(rate.over, rate.input, rate.output) for rate in price.rates] == [
        (0, NANO, 3 * NANO),
        (200_000, 4 * NANO, 8 * NANO),
    ]


@pytest.mark.parametrize(
    "given_",
    [
        {},
        {"input_cost_per_token": 1e-06},
        {"input_cost_per_token": 0, "output_cost_per_token": 0},
        {"input_cost_per_token": "1e-06", "output_cost_per_token": 1e-06},
        {"input_cost_per_token": -1e-06, "output_cost_per_token": 1e-06},
        {"input_cost_per_token": True, "output_cost_per_token": 1e-06},
        {"litellm_provider": "azure", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    ],
)
def test_what_the_map_does_not_really_say_is_unknown(tmp_path: Path, given_: dict[str, Any]) -> None:
    assert prices(tmp_path, m=given_).price("m", provider="openai") is None


def test_a_map_that_cannot_be_read_knows_nothing(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text("{", encoding="utf-8")
    assert Prices(tmp_path / "map.json").price("gpt-4o") is None
    assert Prices(tmp_path / "none.json").price("gpt-4o") is None


def test_the_prices_of_the_installed_litellm_are_read_without_importing_it() -> None:
    if bundled_map() is None:
        pytest.skip("litellm is not installed")
    before = "litellm" in sys.modules
    price = Prices().price("gpt-4o-mini", provider="openai")
    assert price is not None and price.source.startswith("litellm ")
    assert price.rates[0].input > 0
    assert Prices().price("mistral-small-latest", provider="mistral") is not None
    assert ("litellm" in sys.modules) == before
