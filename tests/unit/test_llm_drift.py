"""Drift: what changes is seen, and what only varies is not."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterable

from maestro.llm.calls import Call
from maestro.llm.drift import Day, DriftAlert, Fact, ModelDay, Numbers, day_of, drift, fact

Change = Callable[[Fact, random.Random], Fact]
Days = list[list[Fact]]
"""The last one first."""


def usual(seed: int, *, days: int = 29, change: Change | None = None, a_day: int = 120) -> Days:
    """Four weeks and the last day: two models, weekends with fewer calls, costs and times with long tails."""
    chance = random.Random(seed)
    found: Days = []
    for day in range(days):
        found.append([])
        # Days count back from now; each has a mix of its own, as on real days.
        share = min(0.9, max(0.1, chance.gauss(0.7, 0.04)))
        load = math.exp(chance.gauss(0, 0.08))
        for _ in range(int(a_day * (0.3 if day % 7 in (5, 6) else 1) * chance.uniform(0.8, 1.2))):
            model = "small" if chance.random() < share else "big"
            dear = 1 if model == "small" else 20
            one = Fact(
                group="review",
                model=model,
                cost_nano=int(1e6 * dear * math.exp(chance.gauss(0, 0.8))),
                seconds=2.0 * load * math.exp(chance.gauss(0, 0.6)),
                refused=chance.random() < 0.01,
            )
            found[-1].append(change(one, chance) if change and day == 0 else one)
    return found


def alerts_of(days: Days) -> tuple[DriftAlert, ...]:
    """The last day against those before it."""
    return drift(days[0], [day_of(one) for one in days[1:]])


def changed(**values: object) -> Change:
    return lambda one, _chance: dataclasses.replace(one, **values)  # type: ignore[arg-type]  # tests name the fields


def test_a_hundred_usual_months_give_hardly_a_false_alarm() -> None:
    alarms = [alert for seed in range(100) for alert in alerts_of(usual(seed))]
    # Each month has seven bands: 700 looks.
    assert len(alarms) <= 1, [alert.sentence for alert in alarms]


def test_another_mix_is_seen_on_the_day() -> None:
    alerts = alerts_of(usual(1, change=changed(model="big")))
    assert {alert.subject for alert in alerts if alert.metric == "mix"} == {"review: big", "review: small"}
    [big] = [alert for alert in alerts if alert.subject == "review: big"]
    assert big.value == 1.0
    assert big.sentence.startswith("100% of the calls go to review: big (")
    assert "in the weeks before it was 30%" in big.sentence or "in the weeks before it was 29%" in big.sentence


def test_calls_that_cost_twice_as_much_are_seen_every_time() -> None:
    def twice(one: Fact, _chance: random.Random) -> Fact:
        return dataclasses.replace(one, cost_nano=2 * (one.cost_nano or 0))

    seen = [alerts_of(usual(seed, change=twice)) for seed in range(20)]
    assert all(any(one.metric == "cost" and one.subject == "small" for one in alerts) for alerts in seen)
    assert not any(one.metric == "latency" for alerts in seen for one in alerts)


def test_slow_answers_and_refusals_are_seen() -> None:
    def worse(one: Fact, chance: random.Random) -> Fact:
        return dataclasses.replace(one, seconds=3 * (one.seconds or 0), refused=chance.random() < 0.5)

    metrics = {(alert.metric, alert.subject) for alert in alerts_of(usual(3, change=worse))}
    assert {("latency", "small"), ("refusals", "small")} <= metrics


def test_one_odd_day_in_the_past_does_not_widen_the_band() -> None:
    days = usual(4, change=changed(seconds=9.0))
    days[9] = [dataclasses.replace(one, seconds=500.0) for one in days[9]]
    assert any(alert.metric == "latency" for alert in alerts_of(days))


def test_too_few_calls_or_days_say_nothing() -> None:
    few = [*usual(6, days=1, a_day=10, change=changed(model="big")), *usual(5)[1:]]
    assert alerts_of(few) == ()
    assert alerts_of(usual(7, days=5, change=changed(model="big"))) == ()
    assert drift([], []) == ()


def test_values_that_are_no_numbers_are_passed_over() -> None:
    assert alerts_of(usual(8, change=changed(seconds=math.nan, cost_nano=0))) == ()


def call(state: str | None, **changes: object) -> Call:
    return dataclasses.replace(Call(0.0, "acme", "app", "all", "big", state, 3_000_000, 1.5), **changes)  # type: ignore[arg-type]  # tests name the fields


def facts(calls: Iterable[Call]) -> list[Fact]:
    return [seen for one in calls if (seen := fact(one)) is not None]


def test_facts_are_of_calls_that_reached_a_model() -> None:
    open_ = call(None, cost_nano=None, seconds=None)
    assert facts(map(call, ("answered", "cached", "cancelled", "refused", "failed"))) + facts([open_]) == [
        Fact("all", "big", 3_000_000, 1.5, False),
        Fact("all", "big", None, None, True),
        Fact("all", "big", None, None, False),
        Fact("all", "big", None, None, False),
    ]


def test_a_day_is_what_its_calls_come_to() -> None:
    made = [Fact("review", "big", 10**9, 1.0, False), Fact("review", "big", 10**9, 1.0, False)]
    made += [Fact("review", "big", None, None, True), Fact("ask", "", None, None, True)]
    assert day_of(made) == Day(
        {"review": {"big": 3}, "ask": {"": 1}},
        {"big": ModelDay(3, 1, {"cost": Numbers(2, 0.0, 0.0), "latency": Numbers(2, 0.0, 0.0)})},
    )
    assert day_of(made).calls == 4
