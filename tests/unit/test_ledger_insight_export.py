"""A month's export: complete, exact, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.ledger.insight.export import COLUMNS, cell, csv_lines, exact, jsonl, month_of, sums
from maestro.ledger.model import NANO, Attribution, Charge, Unit

AT = datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC)


def charge(amount: int, *, step: str = "review", pull_request: int | None = 7, **more: object) -> Charge:
    who = Attribution("acme", "app", pull_request, "run-1", step, "ann")
    settings: dict[str, Any] = {
        "unit": Unit.USD,
        "model": "gpt-4o-mini",
        "provider": "openai",
        "decision": "dec_1",
        **more,
    }
    return Charge(f"res-{amount}", AT, who, amount=amount, **settings)


def rows(charges: list[Charge]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(csv_lines(charges)), newline="")))


def test_a_row_says_whose_the_amount_is() -> None:
    (row,) = rows([charge(123, facts={"input_tokens": 10})])
    assert row == {
        "month": "2026-11",
        "at": "2026-11-03T04:05:06.000000Z",
        "tenant": "acme",
        "project": "app",
        "pull_request": "7",
        "run": "run-1",
        "step": "review",
        "actor": "ann",
        "model": "gpt-4o-mini",
        "provider": "openai",
        "unit": "usd",
        "amount": "0.000000123",
        "whole": "123",
        "kind": "settled",
        "decision": "dec_1",
        "reservation": "res-123",
        "facts": '{"input_tokens": 10}',
    }


def test_no_cent_is_lost_in_decimals() -> None:
    amounts = [1, 3, 10**9 + 7, 123_456_789_012_345_678, -5]
    found = rows([charge(one) for one in amounts])
    assert sum(Decimal(row["amount"]) for row in found) * NANO == sum(amounts)
    assert sum(int(row["whole"]) for row in found) == sum(amounts)


def test_a_charge_counts_in_the_month_of_its_reservation_however_late_it_was_settled() -> None:
    late = replace(charge(1), at=datetime(2026, 12, 1, tzinfo=UTC), month="2026-11")
    assert rows([late])[0]["month"] == "2026-11"


def test_json_lines_hold_the_same_as_the_csv() -> None:
    charges = [charge(123, pull_request=None), charge(-4, kind="adjusted")]
    lines = [json.loads(line) for line in jsonl(charges)]
    assert [list(line) for line in lines] == [list(COLUMNS)] * 2
    assert (
        [line["amount"] for line in lines]
        == [row["amount"] for row in rows(charges)]
        == ["0.000000123", "-0.000000004"]
    )
    assert lines[0]["pull_request"] is None


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1"])
def test_a_text_that_a_spreadsheet_would_calculate_is_kept_a_text(text: str) -> None:
    assert cell(text) == f"'{text}"
    (row,) = rows([charge(1, step=text)])
    assert row["step"] == f"'{text}"


def test_a_correction_below_zero_stays_a_number() -> None:
    (row,) = rows([charge(-NANO, kind="adjusted")])
    assert (row["amount"], row["whole"]) == ("-1.000000000", str(-NANO))


def test_quotes_commas_and_lines_in_names_do_not_break_a_row() -> None:
    (row,) = rows([charge(1, model='a "b",\nc')])
    assert row["model"] == 'a "b",\nc'


@pytest.mark.parametrize(
    ("unit", "whole", "text"),
    [
        (Unit.USD, 0, "0.000000000"),
        (Unit.TOKENS, 12_000, "12000"),
        (Unit.RUNS, 3, "3"),
        (Unit.MINUTES, 90, "1.500000"),
        (Unit.GIGABYTES, 1, "0.000000001"),
    ],
)
def test_amounts_are_in_the_unit_people_use(unit: Unit, whole: int, text: str) -> None:
    assert exact(unit, whole) == text


def test_a_month_is_its_days_in_utc() -> None:
    assert month_of("2026-12") == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "november", "", "0000-01", "9999-12", "2026-11-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"'{text}' is no month") as caught:
        month_of(text)
    assert caught.value.next_step == "write it like 2026-11"


def test_charges_are_summed_the_largest_first() -> None:
    charges = [charge(1), charge(2, step="notes"), charge(4, step="notes"), charge(9, unit=Unit.TOKENS)]
    found = sums(charges, ["project", "step"])
    assert [(one.key, one.unit, one.amount, one.charges) for one in found] == [
        (("app", "review"), Unit.TOKENS, 9, 1),
        (("app", "notes"), Unit.USD, 6, 2),
        (("app", "review"), Unit.USD, 1, 1),
    ]


def test_summing_by_what_is_not_kept_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be summed by 'team'"):
        sums([], ["team"])
