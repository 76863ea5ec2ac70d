"""Days out of line: planted ones are found, ordinary years give next to no alarm."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import date, timedelta

import pytest

from maestro.ledger.insight.anomaly import FEWEST_DAYS, anomalies
from maestro.ledger.insight.daily import Daily
from maestro.ledger.model import NANO

FIRST = date(2025, 1, 1)
SEEDS = range(6)
MOST_FALSE_ALARMS = 3


@dataclass(frozen=True)
class Kind:
    """A kind of year: how much days scatter, growth over the year, share of a weekend day, holidays, idle days."""

    scatter: float = 0.25
    growth: float = 1.0
    weekend: float = 0.2
    holidays: int = 12
    idle: float = 0.0


KINDS = {
    "an ordinary year": Kind(),
    "a year that grows threefold": Kind(growth=3),
    "a year that shrinks to a third": Kind(growth=1 / 3),
    "weekends like any other day": Kind(weekend=1),
    "nothing on weekends": Kind(weekend=0),
    "many holidays": Kind(holidays=30),
    "every fourth day nothing": Kind(idle=0.25),
    "a very uneven year": Kind(scatter=0.7),
}


def year(kind: Kind, seed: int) -> list[int]:
    chance = random.Random(seed)
    holidays = set(chance.sample(range(365), kind.holidays))
    amounts = []
    for number in range(365):
        weekend = (FIRST + timedelta(days=number)).weekday() >= 5
        usual = 20 * NANO * (kind.weekend if weekend else 1) * kind.growth ** (number / 365)
        amount = usual * math.exp(chance.gauss(0, kind.scatter)) * (0.03 if number in holidays else 1)
        amounts.append(0 if chance.random() < kind.idle else round(amount))
    return amounts


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_ordinary_year_gives_a_few_false_alarms_at_most(kind: Kind) -> None:
    counts = [
        len([one for one in anomalies(Daily(FIRST, tuple(year(kind, seed)))) if one.lasts == 1]) for seed in SEEDS
    ]
    assert max(counts) <= MOST_FALSE_ALARMS
    assert sum(counts) / len(counts) <= 1.5


@pytest.mark.parametrize("name", ["an ordinary year", "a year that grows threefold", "many holidays"])
def test_a_day_that_costs_six_times_as_much_is_found(name: str) -> None:
    found = planted = 0
    for seed in SEEDS:
        amounts = year(KINDS[name], seed)
        for number in random.Random(seed).sample(range(60, 365), 5):
            usual = year(Kind(scatter=0, growth=KINDS[name].growth, holidays=0), 0)[number]
            spiked = [*amounts]
            spiked[number] = 6 * usual
            planted += 1
            found += any(one.day == FIRST + timedelta(days=number) for one in anomalies(Daily(FIRST, tuple(spiked))))
    assert found / planted >= 0.9


def test_a_weekend_that_costs_like_two_working_days_is_found_although_working_days_often_cost_that() -> None:
    days = [(2 if (FIRST + timedelta(days=n)).weekday() >= 5 else 20) * NANO for n in range(101)]
    saturday = next(n for n in range(80, 101) if (FIRST + timedelta(days=n)).weekday() == 5)
    days[saturday] = 20 * NANO
    (found,) = anomalies(Daily(FIRST, tuple(days)))
    assert found.day == FIRST + timedelta(days=saturday)
    assert found.expected == 2 * NANO
    assert found.amount > found.bound > found.expected


def test_what_is_said_of_a_day_does_not_change_with_later_days() -> None:
    amounts = year(Kind(scatter=0.6), 3)
    amounts[200] *= 30
    whole = anomalies(Daily(FIRST, tuple(amounts)))
    part = anomalies(Daily(FIRST, tuple(amounts[:250])))
    assert part
    assert part == [one for one in whole if one.day < FIRST + timedelta(days=250)]


def test_days_in_a_row_are_one_alarm() -> None:
    days = [20 * NANO] * 60
    days[50:53] = [200 * NANO] * 3
    assert [one.lasts for one in anomalies(Daily(FIRST, tuple(days)))] == [1, 2, 3]


def test_a_new_level_stops_being_an_alarm_within_two_weeks() -> None:
    found = anomalies(Daily(FIRST, (20 * NANO,) * 60 + (100 * NANO,) * 60))
    assert 1 <= len(found) <= 14
    assert found[-1].lasts == len(found)


def test_nothing_is_flagged_before_there_is_a_month_of_days() -> None:
    assert anomalies(Daily(FIRST, (NANO,) * FEWEST_DAYS + (1000 * NANO,))) == []


def test_a_few_cents_more_are_nobody_s_business() -> None:
    days = Daily(FIRST, (NANO // 100,) * 60 + (NANO // 10,))
    assert len(anomalies(days)) == 1
    assert anomalies(days, least=NANO) == []


def test_years_without_any_spend_are_silent() -> None:
    assert anomalies(Daily(FIRST, (0,) * 365)) == []
    assert anomalies(Daily(FIRST, ())) == []
