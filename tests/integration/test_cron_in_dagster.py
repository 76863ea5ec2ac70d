"""What the language takes as a schedule, Dagster takes too: else a project's definitions would not load."""

from __future__ import annotations

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.workflow.cron import parse_cron, parse_zone

NUMBERS = st.integers(0, 60).map(str)
VALUES = st.one_of(NUMBERS, NUMBERS.map(lambda text: text.zfill(2)), st.sampled_from(["MON", "sun", "Jan", "DEC", "L"]))
RANGES = st.one_of(st.just("*"), VALUES, st.tuples(VALUES, VALUES).map("-".join))
TERMS = st.one_of(RANGES, st.tuples(RANGES, NUMBERS).map("/".join))
FIELDS = st.lists(TERMS, min_size=1, max_size=3).map(",".join)
SPACES = st.sampled_from([" ", "  ", "\t"])


@dg.job
def nothing() -> None:
    """A job for schedules."""


def accepted(cron: str, zone: str = "UTC") -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        "one", cron_schedule=parse_cron(cron), execution_timezone=parse_zone(zone), job=nothing
    )


@pytest.mark.filterwarnings("error")
@settings(max_examples=400)
@given(st.tuples(FIELDS, FIELDS, FIELDS, FIELDS, FIELDS), SPACES)
def test_every_expression_the_language_takes_is_one_for_dagster(fields: tuple[str, ...], space: str) -> None:
    cron = space.join(fields)
    try:
        parse_cron(cron)
    except ValueError:
        return
    assert accepted(cron).cron_schedule == cron


@pytest.mark.parametrize("cron", ["0 3 * * 1", "*/5 * * * *", "0 0 1,15 * *", "30 8 * JAN-MAR mon-fri", "0 0 29 2 *"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns"])
def test_usual_schedules_are_taken(cron: str, zone: str) -> None:
    assert accepted(cron, zone).execution_timezone == zone
