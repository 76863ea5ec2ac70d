"""GitHub's rate limits: from an answer to when it may be asked again.

https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

SECONDARY = timedelta(seconds=60)
"""What GitHub asks to wait when it does not say how long."""
_LONGEST = timedelta(hours=2)
_MARGIN = timedelta(seconds=1)
_WORDS = ("rate limit", "abuse detection")


def limited_until(status: int, headers: Mapping[str, str], said: str, now: datetime) -> datetime | None:
    """When GitHub may be asked again; None when the answer is about no limit.

    Args:
        headers: of the answer, names in any case.
        said: its message.
        now: this machine's clock, on which the result is; GitHub's own is taken from the header ``date``.
    """
    if status not in (403, 429):
        return None
    known = {name.lower(): value for name, value in headers.items()}
    waits = retry_after(known, now)
    if waits is None and known.get("x-ratelimit-remaining") == "0":
        waits = _until_reset(known, now)
    if waits is None and (status == 429 or any(word in said.lower() for word in _WORDS)):
        waits = SECONDARY
    return None if waits is None else now + min(max(waits, _MARGIN), _LONGEST)


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """What ``retry-after`` says, in seconds or as a date (RFC 9110, 10.2.3); None without one that makes sense.

    Args:
        headers: names in lower case.
    """
    given = headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return min(timedelta(seconds=int(given[:9])), _LONGEST)
    when = _date(given)
    return None if when is None else min(max(when - server_time(headers, now), timedelta()), _LONGEST)


def server_time(headers: Mapping[str, str], now: datetime) -> datetime:
    """The other side's clock; ``now`` when it does not say.

    Args:
        headers: names in lower case.
    """
    return _date(headers.get("date", "")) or now


def _until_reset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    given = headers.get("x-ratelimit-reset", "").strip()
    if not (given.isascii() and given.isdigit() and len(given) <= 11):
        return None
    return datetime.fromtimestamp(int(given), UTC) - server_time(headers, now) + _MARGIN


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
