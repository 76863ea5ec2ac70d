"""Cron expressions of five fields, and time zones, as far as Dagster's schedules take them.

cronsim says what is wrong with an expression; Dagster's own parser cannot be asked without importing Dagster.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

CRON_PATTERN = r"^\s*[^\s@]\S*(\s+\S+){4}\s*$"
"""What an editor can see of it."""
MAX_EXPRESSION = 100


def parse_cron(text: str) -> str:
    """``text``, when it is a cron expression: minute, hour, day of the month, month, day of the week.

    Raises:
        ValueError: it is none, or names a day that never comes.
    """
    fields = text.split()
    if _BEYOND.search(text):
        raise ValueError(f"L, W and # are not taken in a cron expression; {_FORM}")
    if text.startswith("@") or len(fields) != 5 or len(text) > MAX_EXPRESSION:
        raise ValueError(f"'{text[:MAX_EXPRESSION]}' is no cron expression; {_FORM}")
    for name, size, field in zip(_NAMES, _SIZES, fields, strict=True):
        steps = [int(step) for step in _STEP.findall(field)]
        if any(step >= size for step in steps):
            raise ValueError(f"the {name} of the cron expression '{text}' has a step that is never reached; {_FORM}")
        if any(int(end) - int(start) < int(step or 1) for start, end, step in _RANGE.findall(field)):
            # Dagster takes it for more than that.
            raise ValueError(
                f"the {name} of the cron expression '{text}' has a range of one value; write the value alone"
            )
    _first(text)
    return text


_BEYOND = re.compile(r"#|(?<![A-Za-z])[0-7]?(?:[lL][wW]?|[wW])(?![A-Za-z])")
_RANGE = re.compile(r"(?<![0-9])([0-9]+)-([0-9]+)(?:/([0-9]+))?")
_STEP = re.compile(r"/([0-9]+)(?![0-9])")
_NAMES = ("minute", "hour", "day of the month", "month", "day of the week")
_SIZES = (60, 24, 31, 12, 7)
_FORM = "write five fields: minute, hour, day of the month, month, day of the week, such as '0 3 * * 1'"


def _first(text: str) -> None:
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(text, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        field = str(error).removeprefix("Bad ").replace("day-of-", "day of the ")
        raise ValueError(f"the {field} of the cron expression '{text}' is wrong; {_FORM}") from None
    except StopIteration:
        raise ValueError(f"the cron expression '{text}' names a day that never comes") from None


def parse_zone(text: str) -> str:
    """``text``, when it is the name of a time zone.

    Raises:
        ValueError: there is no such zone.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"'{text}' is no time zone; write a name such as UTC or Europe/Berlin") from None
    return text
