"""Points in time as documents write them: RFC 3339 (https://www.rfc-editor.org/rfc/rfc3339)."""

from __future__ import annotations

from datetime import UTC, datetime


def parse(text: str) -> datetime:
    """The moment ``text`` names, in UTC. Without a time zone it is taken for UTC.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.fromisoformat(text.strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def write(moment: datetime) -> str:
    """``moment`` in UTC, to the second, ending in ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: object) -> datetime | None:
    """As :func:`parse`; None when ``text`` is no moment at all."""
    try:
        return parse(text) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None
