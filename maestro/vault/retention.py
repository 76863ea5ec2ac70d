"""How long evidence is kept, by its type."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from maestro.errors import InputError

# Leap days included: never less than the years people mean.
ONE_YEAR = timedelta(days=366)
THREE_YEARS = timedelta(days=1096)
SEVEN_YEARS = timedelta(days=2557)

DEFAULTS: Mapping[str, timedelta] = {
    "provenance": SEVEN_YEARS,
    "decision": SEVEN_YEARS,
    "waiver": SEVEN_YEARS,
    "checkpoint": SEVEN_YEARS,
    "pack": SEVEN_YEARS,
    "hold": SEVEN_YEARS,
    "sbom": THREE_YEARS,
    "vulnerabilities": THREE_YEARS,
    "licenses": THREE_YEARS,
    "secrets": ONE_YEAR,
    "test-report": ONE_YEAR,
}

OTHER = SEVEN_YEARS
"""For types the table does not know: what is kept too long costs space, what is not kept is lost."""

# S3 accepts retention up to 100 years.
_LONGEST = timedelta(days=36500)
_PERIOD = re.compile(r"([1-9]\d{0,5})([dwy])\Z")
_DAYS = {"d": 1, "w": 7, "y": 365.25}


def retention_table(overrides: Mapping[str, str] | None = None) -> dict[str, timedelta]:
    """The table of all types, with those of ``overrides`` in place of the defaults.

    Args:
        overrides: evidence type -> period such as ``90d``, ``12w`` or ``10y``.

    Raises:
        InputError: a period cannot be read.
    """
    return {**DEFAULTS, **{name: parse_period(text) for name, text in (overrides or {}).items()}}


def parse_period(text: str) -> timedelta:
    """The whole days in a period such as ``90d``, ``12w`` or ``10y``; years are rounded up.

    Raises:
        InputError: it is no period, or over 100 years.
    """
    found = _PERIOD.match(text) if isinstance(text, str) else None
    days = 0 if found is None else math.ceil(int(found[1]) * _DAYS[found[2]])
    if not 0 < days <= _LONGEST.days:
        raise InputError(
            f"{text!r} is no retention period",
            next_step="write days, weeks or years, at most 100 years: 90d, 12w, 7y",
        )
    return timedelta(days=days)


def retain_until(retention: timedelta, at: datetime) -> datetime:
    """The moment ``retention`` after ``at``, in UTC, rounded up to the whole seconds S3 keeps.

    Raises:
        InputError: the retention is not positive or over 100 years.
    """
    if not timedelta(0) < retention <= _LONGEST:
        raise InputError(
            f"retention must be more than 0 and at most 100 years, not {retention}",
            next_step="give a positive retention",
        )
    return whole_seconds(at.astimezone(UTC) + retention)


def whole_seconds(moment: datetime) -> datetime:
    """``moment``, rounded up to a whole second."""
    return moment.replace(microsecond=0) + timedelta(seconds=1 if moment.microsecond else 0)
