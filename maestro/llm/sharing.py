"""What one gateway finds of a deployment, told to the others on the same database, and heard from them.

Read together with a decision, at most once a second and behind its back; written in a thread, so that no call waits.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from maestro.errors import InputError
from maestro.llm.breaker import Breakers, Opening
from maestro.llm.catalogue import Catalogue, Model
from maestro.llm.findings import BREAKER, HEALTH, HEALTH_SECONDS, Finding, FindingStore, deployment_of
from maestro.llm.keyring import Keyring
from maestro.llm.refreshed import Refreshed

_LOG = logging.getLogger(__name__)
FRESH_SECONDS, STALE_SECONDS, PATIENCE_SECONDS = 1.0, 5.0, 0.5
CLOSE_SECONDS = 2.0
"""What is not written by then is not told to anybody."""
LONGEST_REASON = 500


@dataclass(slots=True)
class _Down:
    id: str
    reason: str
    noticed: float
    until: float
    there: float
    """Since when it is in the database: whoever does not see it there after that knows that it is well again."""


async def _nothing() -> None:
    return None


class Sharing:
    """Of one gateway, for its event loop.

    Args:
        store: None: nothing is told and nothing heard.
        redact: takes secrets out of what is written.
    """

    def __init__(
        self,
        store: FindingStore | None,
        catalogue: Catalogue,
        keyring: Keyring,
        breakers: Breakers,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._store = store
        self._models = catalogue.models
        self._keyring = keyring
        self._breakers = breakers
        self._redact = redact
        self._down: dict[str, _Down] = {}
        self._well: dict[str, str] = {}
        """Model -> id of the finding that holds no more; a look that began before may still bring it."""
        self._pending: deque[Callable[[], None]] = deque(maxlen=1024)
        self._writer: asyncio.Task[None] | None = None
        self._heard = Refreshed(
            _nothing if store is None else self._look,
            None,
            fresh=FRESH_SECONDS,
            stale=STALE_SECONDS,
            patience=PATIENCE_SECONDS,
        )
        if store is not None:
            breakers.on_open, breakers.on_close = self._opened, self._closed

    async def listen(self) -> None:
        """Takes in what the others found, as it was about a second ago."""
        await self._heard.value()

    async def listen_now(self) -> None:
        """Takes in what the others have found until now; nothing where the database does not say."""
        if self._store is not None:
            try:
                await asyncio.wait_for(self._look(), PATIENCE_SECONDS)
            except Exception as error:  # noqa: BLE001 - it is advice, whatever happens to it
                _LOG.debug("findings cannot be read: %s", type(error).__name__)

    def unhealthy(self) -> Mapping[str, str]:
        """Model -> why it cannot be used right now, and how long that holds."""
        if not self._down:
            return {}
        now = time.monotonic()
        for name in [name for name, one in self._down.items() if one.until <= now]:
            del self._down[name]
        return {
            name: f"{one.reason}; a look found that {max(0.0, HEALTH_SECONDS - (one.until - now)):.0f} s ago and it "
            f"holds for {one.until - now:.0f} s more, or until `maestro llm health` finds it well"
            for name, one in self._down.items()
        }

    def found(self, reasons: Mapping[str, str | None]) -> None:
        """What a look at models' health found, for a minute; None: the model is well."""
        well: list[str] = []
        for name, reason in reasons.items():
            before = self._down.pop(name, None)
            if before is not None:
                self._well[name] = before.id
            if reason is not None:
                now = time.monotonic()
                down = _Down(uuid4().hex, self._told(reason), now, now + HEALTH_SECONDS, math.inf)
                self._down[name] = down
                self._put(name, Finding("", HEALTH, down.id, down.reason, HEALTH_SECONDS, HEALTH_SECONDS))
            elif before is not None:
                well.append(before.id)
        self._remove(well)

    def answered(self, name: str, began: float) -> None:
        """A call that began then (monotonic seconds) came to a good end: what a look found before holds no more."""
        down = self._down.get(name)
        if down is not None and began > down.noticed:
            self.found({name: None})

    async def written(self) -> None:
        """Returns when what is to be told is, or after two seconds."""
        if self._pending:
            self._write()
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=CLOSE_SECONDS)

    async def close(self) -> None:
        """Nothing is heard any more, and what is to be told is, as far as that is soon done."""
        await self._heard.close()
        await self.written()

    async def _look(self) -> None:
        if self._store is None:
            return
        began = time.monotonic()
        rows = await asyncio.to_thread(self._store.current)
        names = {self._deployment(model): name for name, model in self._models.items()}
        known = [(names[row.deployment], row) for row in rows if row.deployment in names]
        self._breakers.heard(
            {
                name: Opening(row.id, row.seconds, row.kept, row.failures, row.opened, row.reason, row.asked)
                for name, row in known
                if row.kind == BREAKER
            }
        )
        self._hear({name: row for name, row in known if row.kind == HEALTH}, began)

    def _hear(self, rows: Mapping[str, Finding], began: float) -> None:
        now = time.monotonic()
        for name in [name for name, one in self._down.items() if one.there <= began and name not in rows]:
            del self._down[name]
        for name, row in rows.items():
            known = self._down.get(name)
            if known is not None and known.id == row.id:
                known.there = min(known.there, now)
            elif self._well.get(name) != row.id and (known is None or known.there <= began):
                self._down[name] = _Down(row.id, row.reason, now, now + row.seconds, now)

    def _opened(self, name: str, opening: Opening) -> None:
        found = Finding(
            deployment="",
            kind=BREAKER,
            id=opening.id,
            reason=self._told(opening.last),
            seconds=opening.seconds,
            kept=opening.kept,
            failures=opening.failures,
            opened=opening.opened,
            asked=opening.asked,
        )
        self._put(name, found)

    def _closed(self, _name: str, id: str) -> None:
        self._remove([id])

    def _put(self, name: str, finding: Finding) -> None:
        store, model = self._store, self._models.get(name)
        if store is None or model is None:
            return
        told = time.monotonic()
        deployment = self._deployment(model)

        def write() -> None:
            late = time.monotonic() - told
            kept = finding.kept - late
            if kept > 0:
                store.put(replace(finding, deployment=deployment, seconds=finding.seconds - late, kept=kept))
                down = self._down.get(name)
                if down is not None and down.id == finding.id:
                    down.there = time.monotonic()

        self._pending.append(write)
        self._write()

    def _remove(self, ids: Sequence[str]) -> None:
        store = self._store
        if store is not None and ids:
            self._pending.append(lambda: store.remove(ids))
            self._write()

    def _write(self) -> None:
        if self._writer is not None and not self._writer.done():
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # A stream that nobody closed ends where there is no loop; the next one writes it.
        self._writer = loop.create_task(self._written())

    async def _written(self) -> None:
        while self._pending:
            write = self._pending.popleft()
            try:
                await asyncio.to_thread(write)
            except Exception as error:  # noqa: BLE001 - it is advice, whatever happens to it
                _LOG.debug("a finding cannot be written: %s", type(error).__name__)

    def _deployment(self, model: Model) -> str:
        try:
            return deployment_of(model, self._keyring.value(model.key))
        except InputError:
            return deployment_of(model, None)

    def _told(self, reason: str) -> str:
        said = self._redact(reason)
        return said if len(said) <= LONGEST_REASON else f"{said[: LONGEST_REASON - 1]}…"
