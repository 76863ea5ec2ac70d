"""Cron expressions: what is one, and what is said about anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.workflow.cron import parse_cron, parse_zone


@pytest.mark.parametrize("text", ["0 3 * * 1", "*/5 * * * *", "0 0 1,15 * *", "30 8 * JAN-MAR mon-fri", "0 0 29 2 *"])
def test_five_fields_are_a_cron_expression(text: str) -> None:
    assert parse_cron(text) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is no cron expression; write five fields"),
        ("@daily", "'@daily' is no cron expression"),
        ("0 3 * *", "'0 3 * *' is no cron expression"),
        ("0 0 3 * * 1", "'0 0 3 * * 1' is no cron expression"),
        ("60 3 * * 1", "the minute of the cron expression '60 3 * * 1' is wrong"),
        ("0 25 * * *", "the hour of"),
        ("0 3 0 * *", "the day of the month of"),
        ("0 3 * 13 *", "the month of"),
        ("0 3 * * 8", "the day of the week of"),
        ("0 3 * * mno", "the day of the week of"),
        ("*/0 3 * * 1", "the minute of"),
        ("5-1 3 * * 1", "the minute of"),
        ("0 3 30 2 *", "the day of the month of"),
        ("*/90 3 * * *", "the minute of the cron expression '*/90 3 * * *' has a step that is never reached"),
        ("0 3 L * *", "L, W and # are not taken in a cron expression"),
        ("0 3 lw * *", "L, W and # are not taken"),
        ("0 3 * * 5L", "L, W and # are not taken"),
        ("0 3 * * 5#2", "L, W and # are not taken"),
        (f"{'9' * 5000} * * * *", "is no cron expression"),
    ],
)
def test_anything_else_says_which_field_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match="cron expression") as caught:
        parse_cron(text)
    assert problem in str(caught.value)


@given(st.text("0123456789*/-,#LWab ", max_size=30))
def test_any_text_is_taken_or_refused_with_a_reason(text: str) -> None:
    try:
        parse_cron(text)
    except ValueError as error:
        assert "cron expression" in str(error)


@pytest.mark.parametrize("text", ["Mars", "", "../../etc/passwd", "/etc/localtime", "europe", "UTC\0"])
def test_what_is_no_time_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time zone; write a name such as UTC or Europe/Berlin"):
        parse_zone(text)


@pytest.mark.parametrize("cron", ["* * * * 0-0", "1-1/2 * * * *", "0 0 * * 1-5/6"])
def test_a_range_of_one_value_is_refused_since_dagster_takes_it_for_more(cron: str) -> None:
    with pytest.raises(ValueError, match="has a range of one value; write the value alone"):
        parse_cron(cron)
