"""A month's charges as CSV or JSON lines: every cent with the tenant, project, pull request, run, step and model.

Amounts are exact: a decimal number in the unit people use, and the ledger's whole number beside it. The rows of a scope
sum to what the ledger says of it, corrections included, which are rows of their own.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from maestro.errors import InputError
from maestro.ledger.model import NANO, Charge, Unit

COLUMNS = (
    "month",
    "at",
    "tenant",
    "project",
    "pull_request",
    "run",
    "step",
    "actor",
    "model",
    "provider",
    "unit",
    "amount",
    "whole",
    "kind",
    "decision",
    "reservation",
    "facts",
)
GROUPS = ("tenant", "project", "pull_request", "run", "step", "model")
"""What charges are summed by, the outermost first."""
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
_SCALE: Mapping[Unit, tuple[int, int]] = {
    Unit.USD: (NANO, 9),
    Unit.TOKENS: (1, 0),
    Unit.RUNS: (1, 0),
    Unit.MINUTES: (60, 6),
    Unit.GIGABYTES: (1_000_000_000, 9),
}


def month_of(text: str) -> tuple[datetime, datetime]:
    """The first moment of a month (UTC), and of the next.

    Raises:
        InputError: it is not ``YYYY-MM``.
    """
    if not _MONTH.fullmatch(text) or text.startswith("0000"):
        raise InputError(f"'{text}' is no month", next_step="write it like 2026-11")
    year, month = int(text[:4]), int(text[5:])
    if year == 9999 and month == 12:
        raise InputError(f"'{text}' is no month", next_step="write it like 2026-11")
    return datetime(year, month, 1, tzinfo=UTC), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


def counted_in(charge: Charge) -> str:
    """The month whose budgets a charge counts in: that of its reservation."""
    return charge.month or f"{charge.at.astimezone(UTC):%Y-%m}"


def exact(unit: Unit, whole: int) -> str:
    """An amount as a decimal number without an exponent, in dollars, tokens, runs, minutes or gigabytes.

    Minutes have six decimals, and are rounded where a second is no such part of one; everything else is exact.
    """
    scale, places = _SCALE[unit]
    return f"{Decimal(whole) / scale:.{places}f}" if places else str(whole)


def row(charge: Charge) -> dict[str, Any]:
    """One charge as an export has it."""
    who = charge.attribution
    return {
        "month": counted_in(charge),
        "at": charge.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "tenant": who.tenant,
        "project": who.project,
        "pull_request": who.pull_request,
        "run": who.run,
        "step": who.step,
        "actor": who.actor,
        "model": charge.model,
        "provider": charge.provider,
        "unit": charge.unit.value,
        "amount": exact(charge.unit, charge.amount),
        "whole": charge.amount,
        "kind": charge.kind,
        "decision": charge.decision,
        "reservation": charge.reservation,
        "facts": dict(charge.facts),
    }


def jsonl(charges: Iterable[Charge]) -> Iterator[str]:
    """A line of JSON for each charge; ``amount`` is a text, since JSON's readers round numbers."""
    for one in charges:
        yield json.dumps(row(one), ensure_ascii=False, sort_keys=False, default=str) + "\n"


def csv_lines(charges: Iterable[Charge]) -> Iterator[str]:
    """RFC 4180, first the line of heads; see :func:`cell` for texts a spreadsheet would take for a formula."""
    yield _written(COLUMNS)
    for one in charges:
        values = row(one)
        values["facts"] = json.dumps(values["facts"], ensure_ascii=False, sort_keys=True, default=str)
        # The two amounts are numbers made here, so a minus sign is one.
        yield _written([values[name] if name in ("amount", "whole") else cell(values[name]) for name in COLUMNS])


def cell(value: object) -> str:
    """A text for a cell: what a spreadsheet would take for a formula gets an apostrophe in front."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_DANGEROUS) else text


def _written(values: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(list(values))
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class Sum:
    """What was spent by one of a group.

    Args:
        key: a value for each of the names grouped by; empty text: none.
        charges: how many.
    """

    key: tuple[str, ...]
    unit: Unit
    amount: int
    charges: int


def sums(charges: Iterable[Charge], by: Iterable[str] = GROUPS) -> list[Sum]:
    """Charges summed by tenant, project …, the largest first.

    Raises:
        InputError: a name is none of ``GROUPS``.
    """
    names = tuple(by)
    for name in names:
        if name not in GROUPS:
            raise InputError(f"charges cannot be summed by '{name}'", next_step=f"use {', '.join(GROUPS)}")
    found: dict[tuple[tuple[str, ...], Unit], tuple[int, int]] = {}
    for one in charges:
        place = (tuple(_value(one, name) for name in names), one.unit)
        amount, count = found.get(place, (0, 0))
        found[place] = (amount + one.amount, count + 1)
    made = [Sum(key, unit, amount, count) for (key, unit), (amount, count) in found.items()]
    return sorted(made, key=lambda one: (one.unit.value, -one.amount, one.key))


def _value(charge: Charge, name: str) -> str:
    value = charge.model if name == "model" else getattr(charge.attribution, name)
    return "" if value is None else str(value)


def sum_lines(charges: Iterable[Charge], month: str, by: Iterable[str], form: str) -> Iterator[str]:
    """Sums of charges as ``csv`` or ``jsonl``; see :func:`sums`."""
    names = tuple(dict.fromkeys(by))
    heads = ("month", *names, "unit", "amount", "whole", "charges")
    found = sums(charges, names)
    if form == "csv":
        yield _written(heads)
    for one in found:
        numbers = (exact(one.unit, one.amount), one.amount, one.charges)
        if form == "csv":
            yield _written([month, *map(cell, one.key), one.unit.value, *numbers])
        else:
            values = (month, *one.key, one.unit.value, *numbers)
            yield json.dumps(dict(zip(heads, values, strict=True)), ensure_ascii=False) + "\n"
