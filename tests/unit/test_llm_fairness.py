"""Fairness: who waits longer or fails more often than the others, and when that is chance."""

from __future__ import annotations

import random

from maestro.llm.calls import Call
from maestro.llm.fairness import fairness, wilson


def call(tenant: str, seconds: float = 1.0, *, state: str | None = "answered", model: str = "big") -> Call:
    return Call(0.0, tenant, "app", "all", model, state, 1000, seconds)


def calls(tenant: str, number: int, seed: int, *, factor: float = 1.0, fails: float = 0.02) -> list[Call]:
    chance = random.Random(seed)
    return [
        call(tenant, factor * chance.lognormvariate(0, 0.5), state="failed" if chance.random() < fails else "answered")
        for _ in range(number)
    ]


def test_a_tenant_whose_calls_fail_is_the_first_and_worse_off() -> None:
    found = fairness([*calls("a", 200, 1), *calls("b", 200, 2, fails=0.4), *calls("c", 200, 3)])
    assert found[0].tenant == "b"
    assert [one.worse for one in found] == [True, False, False]
    assert found[0].failed > 60
    assert found[0].low < found[0].share < found[0].high
    assert found[0].others < 0.25


def test_a_tenant_whose_calls_are_slow_at_the_same_model_is_worse_off() -> None:
    found = fairness([*calls("a", 300, 1), *calls("b", 300, 2, factor=2.5)])
    assert (found[0].tenant, found[0].worse, found[1].worse) == ("b", True, False)
    assert found[0].slow > found[1].slow


def test_a_slow_model_is_no_injustice() -> None:
    slow = [call("b", 30.0 + n / 100, model="small") for n in range(200)]
    found = {one.tenant: one for one in fairness([*calls("a", 200, 1, fails=0), *slow])}
    assert not found["b"].worse
    assert found["b"].slow == 20


def test_equal_tenants_are_hardly_ever_called_worse_off() -> None:
    wrong = 0
    for seed in range(50):
        tenants = (calls(name, 150, seed * 10 + n) for n, name in enumerate("abcde"))
        wrong += sum(one.worse for one in fairness([one for some in tenants for one in some]))
    assert wrong <= 1


def test_a_few_calls_prove_nothing_and_one_tenant_has_nobody_to_be_compared_with() -> None:
    assert not any(one.worse for one in fairness([*calls("a", 200, 1), *[call("b", state="failed")] * 2]))
    [alone] = fairness(calls("a", 50, 1, fails=0.9))
    assert not alone.worse


def test_refusals_the_cache_and_calls_that_go_on_do_not_count() -> None:
    kept = [call("a", state=state) for state in (None, "cached", "refused", "cancelled")]
    assert fairness(kept) == ()


def test_wilsons_interval_is_that_of_the_textbook() -> None:
    low, high = wilson(10, 100, z=1.96)
    assert (round(low, 4), round(high, 4)) == (0.0552, 0.1744)
    assert wilson(0, 0) == (0.0, 1.0)
