"""Ids of decisions."""

from __future__ import annotations

import os
from datetime import UTC, datetime


def decision_id(at: datetime | None = None) -> str:
    """A new id, ``dec_`` and 26 hexadecimal digits: milliseconds since 1970, then chance; ids sort by time."""
    moment = at or datetime.now(UTC)
    return f"dec_{int(moment.timestamp() * 1000):012x}{os.urandom(7).hex()}"
