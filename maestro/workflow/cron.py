"""Cron expressions of five fields and time zones, and the times they stand for.

Days count as in Debian's cron: when both the day of the month and the day of the week are restricted, either is enough.
At a change of the clock, a time that does not exist is made up for right afterwards, and one that exists twice counts
once. cronsim is imported when the first schedule is met.
"""

from __future__ import annotations

from datetime import UTC, datetime

MAX_EXPRESSION = 100


def parse_cron(text: str) -> str:
    """``text``, when it is a cron expression: minute, hour, day of the month, month, day of the week.

    Raises:
        ValueError: it is none, or names a day that never comes.
    """
    fields = text.split()
    if text.startswith("@") or len(fields) != 5 or len(text) > MAX_EXPRESSION:
        raise ValueError(f"'{text[:MAX_EXPRESSION]}' is no cron expression; {_FORM}")
    _first(text)
    return text


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


def newest(cron: str, zone: str, after: datetime, until: datetime) -> datetime | None:
    """The newest time of ``cron`` after ``after`` and not after ``until``; None when there is none.

    Args:
        zone: the time zone that ``cron`` is written in.
        after: with a time zone, as ``until``.

    Returns:
        In UTC.
    """
    from zoneinfo import ZoneInfo

    from cronsim import CronSim

    # Backwards, so that a server that was away for a year does not count through all of it.
    start = datetime.fromtimestamp(int(until.timestamp()) + 1, UTC).astimezone(ZoneInfo(zone))
    found = next(CronSim(cron, start, reverse=True), None)
    if found is None or found <= after:
        return None
    return found.astimezone(UTC)
