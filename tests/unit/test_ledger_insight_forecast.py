"""What a month and a run will cost, from what was spent before."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from maestro.ledger.insight.daily import Daily, daily
from maestro.ledger.insight.forecast import day_of_reaching, month_forecast
from maestro.ledger.insight.run_forecast import run_forecast
from maestro.ledger.model import NANO, Attribution, Charge, Unit

JUNE_10 = datetime(2026, 6, 10, tzinfo=UTC)


def charge(usd: float, at: datetime, step: str = "review", run: str = "r1", unit: Unit = Unit.USD) -> Charge:
    return Charge(f"{run}/{step}/{at}", at, Attribution("acme", "app", 7, run, step), unit, round(usd * NANO))


def weekly(first: date, count: int, working: int = 10, weekend: int = 2) -> Daily:
    days = [first + timedelta(days=number) for number in range(count)]
    return Daily(first, tuple((weekend if day.weekday() >= 5 else working) * NANO for day in days))


def year(seed: int) -> Daily:
    chance = random.Random(seed)
    shape = weekly(date(2025, 1, 1), 365)
    return Daily(shape.first, tuple(round(one * chance.lognormvariate(0, 0.4)) for one in shape.amounts))


def test_days_without_a_charge_count_as_days() -> None:
    charges = [charge(2, datetime(2026, 6, 1, 23, 59, tzinfo=UTC)), charge(3, datetime(2026, 6, 4, tzinfo=UTC))]
    charges.append(charge(9, datetime(2026, 6, 4, tzinfo=UTC), unit=Unit.TOKENS))
    found = daily(charges, date(2026, 6, 6))
    assert found.first == date(2026, 6, 1)
    assert found.amounts == (2 * NANO, 0, 0, 3 * NANO, 0)


def test_a_charge_counts_on_its_day_in_utc_wherever_it_was_made() -> None:
    at = datetime.fromisoformat("2026-06-02T01:00:00+05:00")
    assert daily([charge(1, at)], date(2026, 6, 3)).on(date(2026, 6, 1)) == NANO


def test_an_even_month_ends_where_its_weeks_lead() -> None:
    days = Daily(date(2026, 4, 1), (*weekly(date(2026, 4, 1), 70).amounts, 0))
    found = month_forecast(days, JUNE_10)
    # 22 working days and 8 days of weekends in June 2026.
    assert found.likely == (22 * 10 + 8 * 2) * NANO
    assert found.low == found.high == found.likely
    assert found.quality == "good"


def test_too_little_history_is_said_and_no_number_made_up() -> None:
    found = month_forecast(Daily(date(2026, 6, 5), (NANO,) * 6), JUNE_10)
    assert (found.low, found.likely, found.high) == (None, None, None)
    assert found.sentence == (
        "$6.00 so far in 2026-06; too little data for a forecast: 5 days of history, 7 are needed"
    )


def test_a_forecast_from_a_few_weeks_calls_itself_rough() -> None:
    days = weekly(date(2026, 5, 27), 15)
    found = month_forecast(days, JUNE_10)
    assert found.quality == "rough"
    assert found.likely is not None
    assert found.sentence.endswith("rough, from 14 days of history")


def test_nobody_spending_anything_is_a_forecast_of_nothing() -> None:
    found = month_forecast(Daily(date(2026, 4, 1), (0,) * 71), JUNE_10)
    assert (found.low, found.likely, found.high) == (0, 0, 0)
    assert found.sentence == "$0.00 so far in 2026-06; nothing more is expected"


def test_one_wild_day_moves_the_forecast_by_that_day_and_no_more() -> None:
    calm = list(weekly(date(2026, 4, 1), 70).amounts)
    wild = [*calm]
    wild[60] = 500 * NANO  # The 31st of May, a Sunday.
    before = month_forecast(Daily(date(2026, 4, 1), (*calm, 0)), JUNE_10)
    after = month_forecast(Daily(date(2026, 4, 1), (*wild, 0)), JUNE_10)
    assert before.likely is not None and after.likely is not None
    assert abs(after.likely - before.likely) < 10 * NANO


def test_spend_that_grows_for_weeks_is_expected_to_grow_on() -> None:
    grown = tuple(round((1 + number // 7 * 0.1) * NANO) for number in range(71))
    found = month_forecast(Daily(date(2026, 4, 1), grown), JUNE_10)
    assert found.likely is not None
    assert found.likely > found.spent + 20 * grown[-1]


def test_the_same_charges_give_the_same_forecast() -> None:
    now = datetime(2025, 9, 9, 12, tzinfo=UTC)
    assert month_forecast(year(1), now) == month_forecast(year(1), now)


def test_about_eight_in_ten_months_end_within_the_interval() -> None:
    inside = total = 0
    for seed in range(4):
        days = year(seed)
        for month in range(3, 12):
            for day in (3, 17):
                now = datetime(2025, month, day, tzinfo=UTC)
                truth = sum(amount for on, amount in days.days() if on.month == month)
                known = Daily(days.first, (*days.before(now.date()).amounts, 0))
                found = month_forecast(known, now)
                assert found.low is not None and found.high is not None
                inside += found.low <= truth <= found.high
                total += 1
    assert 0.65 <= inside / total <= 0.95


def test_the_day_a_limit_is_reached_is_named() -> None:
    days = Daily(date(2026, 4, 1), (*(NANO for _ in range(70)), 0))
    found = month_forecast(days, JUNE_10)
    assert found.likely == 30 * NANO
    assert day_of_reaching(found, 40 * NANO, JUNE_10) is None
    assert day_of_reaching(found, 19 * NANO, JUNE_10) == date(2026, 6, 20)
    assert day_of_reaching(found, 5 * NANO, JUNE_10) == date(2026, 6, 10)


def past(step: str, costs: list[float]) -> list[Charge]:
    return [charge(cost, JUNE_10 + timedelta(hours=number), step, f"r{number}") for number, cost in enumerate(costs)]


def test_a_step_costs_what_it_cost_before() -> None:
    found = run_forecast(past("review", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), ["review"])
    assert found.likely == 6 * NANO
    assert found.high == 10 * NANO
    assert found.sentence == "about $6.00, 9 in 10 times at most $10.00 (each step was seen at least 11 times)"


def test_several_calls_of_a_step_in_a_run_are_one_cost() -> None:
    calls = [charge(1, JUNE_10), charge(2, JUNE_10 + timedelta(seconds=1))]
    assert run_forecast(calls, ["review"]).likely == 3 * NANO


def test_steps_add_up_and_what_is_not_known_is_named() -> None:
    charges = past("review", [1] * 6) + past("notes", [2] * 6) + past("other", [100] * 6)
    found = run_forecast(charges, ["review", "notes", "triage"])
    assert (found.likely, found.high) == (3 * NANO, 3 * NANO)
    assert found.unknown == ("triage",)
    assert found.sentence.endswith("; not known: triage")


def test_of_few_runs_the_dearest_is_taken_for_the_high_one() -> None:
    found = run_forecast(past("review", [1, 5, 2]), ["review"])
    assert (found.likely, found.high) == (2 * NANO, 5 * NANO)


def test_what_was_never_run_has_no_number() -> None:
    found = run_forecast([], ["review"])
    assert found.likely is None
    assert found.sentence == "what it will cost is not known: none of its steps has spent anything yet"


@pytest.mark.parametrize("unit", [Unit.TOKENS, Unit.USD])
def test_a_unit_is_looked_at_alone(unit: Unit) -> None:
    charges = [charge(1, JUNE_10, unit=one) for one in (Unit.TOKENS, Unit.USD)]
    assert run_forecast(charges, ["review"], unit=unit).likely == NANO
