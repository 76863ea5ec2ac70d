"""Whether the gateway lives, and whether it can take webhooks."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

from maestro.gateway.secrets import HookRegistry
from maestro.inbox import InboxUnavailableError, InboxWriter

LEAST_FREE = 64 * 1024 * 1024
"""Bytes the disk of the server's home must have left."""
_PROBE_SECONDS = 3.0
_REMEMBERED = 1.0


class Readiness:
    """Asks the inbox and the disk; an answer is remembered for a second, so that asking often costs nothing."""

    def __init__(self, folder: Path, writer: InboxWriter, registry: HookRegistry) -> None:
        self._folder = folder
        self._writer = writer
        self._registry = registry
        self._asking = asyncio.Lock()
        self._asked = float("-inf")
        self._problems: dict[str, str] = {}

    async def problems(self) -> dict[str, str]:
        """What is wrong, by part; empty when webhooks can be taken. Says nothing of addresses."""
        async with self._asking:
            if time.monotonic() > self._asked + _REMEMBERED:
                self._problems = await self._ask()
                self._asked = time.monotonic()
            return self._problems

    async def _ask(self) -> dict[str, str]:
        found: dict[str, str] = {}
        try:
            await asyncio.wait_for(asyncio.wrap_future(self._writer.probe()), _PROBE_SECONDS)
        except (InboxUnavailableError, TimeoutError):
            found["inbox"] = "cannot be written"
        if not self._registry.hooks.complete:
            found["projects"] = "the registry has not been read yet"
        try:
            if shutil.disk_usage(self._folder).free < LEAST_FREE:
                found["disk"] = f"less than {LEAST_FREE // 2**20} MiB are left"
        except OSError:
            found["disk"] = "the server's home is gone"
        return found
