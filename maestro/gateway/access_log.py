"""The access log: one line of JSON for each webhook, written many at a time.

A write to standard error for each would take as long as checking the signature does, and the event loop waits for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime

LOG = logging.getLogger(__name__)
_SECONDS = 0.1


class AccessLog:
    """Collects lines for a moment; only what was checked to be a name or a number goes into them."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, **values: str | float) -> None:
        """Adds a line with the time it was added."""
        if not LOG.isEnabledFor(logging.INFO):
            return
        if not self._lines:
            asyncio.get_running_loop().call_later(_SECONDS, self.flush)
        self._lines.append(json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}))

    def flush(self) -> None:
        """Writes what was collected."""
        lines, self._lines = self._lines, []
        if lines:
            LOG.info("%s", "\n".join(lines))
