"""Drift: what changes is seen, and what only varies is not."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from datetime import timedelta

from maestro.llm.decisions import Kept, Outcome, outcome_of
from maestro.llm.drift import Fact, drift, facts
from tests.unit.llm_world import NOW, answer, ask

Change = Callable[[Fact, random.Random], Fact]


def usual(seed: int, *, days: int = 29, change: Change | None = None, a_day: int = 120) -> list[Fact]:
    """Four weeks and the last day: two models, weekends with fewer calls, costs and times with long tails."""
    chance = random.Random(seed)
    found = []
    for day in range(days):
        # Days count back from now; each has a mix of its own, as on real days.
        share = min(0.9, max(0.1, chance.gauss(0.7, 0.04)))
        load = math.exp(chance.gauss(0, 0.08))
        for _ in range(int(a_day * (0.3 if day % 7 in (5, 6) else 1) * chance.uniform(0.8, 1.2))):
            model = "small" if chance.random() < share else "big"
            dear = 1 if model == "small" else 20
            fact = Fact(
                at=NOW - timedelta(days=day, seconds=chance.uniform(1, 86_000)),
                group="review",
                model=model,
                cost_nano=int(1e6 * dear * math.exp(chance.gauss(0, 0.8))),
                seconds=2.0 * load * math.exp(chance.gauss(0, 0.6)),
                refused=chance.random() < 0.01,
            )
            found.append(change(fact, chance) if change and day == 0 else fact)
    return found


def changed(**values: object) -> Change:
    return lambda fact, _chance: dataclasses.replace(fact, **values)  # type: ignore[arg-type]  # tests name the fields


def test_a_hundred_usual_months_give_hardly_a_false_alarm() -> None:
    alarms = [alert for seed in range(100) for alert in drift(usual(seed), now=NOW)]
    # Each month has seven bands: 700 looks.
    assert len(alarms) <= 1, [alert.sentence for alert in alarms]


def test_another_mix_is_seen_on_the_day() -> None:
    alerts = drift(usual(1, change=changed(model="big")), now=NOW)
    assert {alert.subject for alert in alerts if alert.metric == "mix"} == {"review: big", "review: small"}
    [big] = [alert for alert in alerts if alert.subject == "review: big"]
    assert big.value == 1.0
    assert big.sentence.startswith("100% of the calls go to review: big (")
    assert "in the weeks before it was 30%" in big.sentence or "in the weeks before it was 29%" in big.sentence


def test_calls_that_cost_twice_as_much_are_seen_every_time() -> None:
    def twice(fact: Fact, _chance: random.Random) -> Fact:
        return dataclasses.replace(fact, cost_nano=2 * (fact.cost_nano or 0))

    seen = [drift(usual(seed, change=twice), now=NOW) for seed in range(20)]
    assert all(any(one.metric == "cost" and one.subject == "small" for one in alerts) for alerts in seen)
    assert not any(one.metric == "latency" for alerts in seen for one in alerts)


def test_slow_answers_and_refusals_are_seen() -> None:
    def worse(fact: Fact, chance: random.Random) -> Fact:
        return dataclasses.replace(fact, seconds=3 * (fact.seconds or 0), refused=chance.random() < 0.5)

    metrics = {(alert.metric, alert.subject) for alert in drift(usual(3, change=worse), now=NOW)}
    assert {("latency", "small"), ("refusals", "small")} <= metrics


def test_one_odd_day_in_the_past_does_not_widen_the_band() -> None:
    past = [
        dataclasses.replace(fact, seconds=500.0) if timedelta(days=9) < NOW - fact.at <= timedelta(days=10) else fact
        for fact in usual(4, change=changed(seconds=9.0))
    ]
    assert any(alert.metric == "latency" for alert in drift(past, now=NOW))


def test_too_few_calls_or_days_say_nothing() -> None:
    few = [fact for fact in usual(5, change=changed(model="big")) if fact.at < NOW - timedelta(days=1)]
    assert drift([*few, *usual(6, days=1, a_day=10)], now=NOW) == ()
    assert drift(usual(7, days=5, change=changed(model="big")), now=NOW) == ()
    assert drift([], now=NOW) == ()


def test_values_that_are_no_numbers_are_passed_over() -> None:
    assert drift(usual(8, change=changed(seconds=math.nan, cost_nano=0)), now=NOW) == ()


def test_facts_are_of_calls_that_reached_a_model() -> None:
    decision = ask("all")
    answered = outcome_of(decision, answer(decision), at=NOW)
    kept = [
        Kept(decision, answered),
        Kept(decision, outcome_of(decision, answer(decision, cached=True), at=NOW)),
        Kept(decision, Outcome(decision.id, NOW, "cancelled")),
        Kept(decision, outcome_of(decision, answer(decision, finish="content_filter"), at=NOW)),
        Kept(decision, None),
    ]
    assert facts(kept) == [
        Fact(NOW, "all", "big", 3_000_000, 1.5, False),
        Fact(NOW, "all", "big", None, None, True),
        Fact(NOW, "all", "big", None, None, False),
    ]
