"""Asks lanes for their metrics and keeps what is needed of them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from maestro.errors import InputError
from maestro.serving.exposition import LARGEST, ScrapeError, read_exposition
from maestro.serving.kinds import reading_of
from maestro.serving.measure import Lane, measure
from maestro.serving.reading import Reading
from maestro.serving.scale import ScaleSignal, scale
from maestro.serving.settings import LaneSettings
from maestro.serving.slo import Verdict, judge

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane at one moment.

    Args:
        lane: None: nothing is known, or what was is too old.
        age: seconds since it was last read; None: never.
        stale: whether it was read, but too long ago.
        trouble: why the last look failed; empty when it did not.
    """

    name: str
    lane: Lane | None
    age: float | None
    stale: bool
    trouble: str
    verdict: Verdict
    scale: ScaleSignal


@dataclass(slots=True)
class _Kept:
    settings: LaneSettings
    readings: deque[Reading] = field(default_factory=deque)
    asked: float | None = None
    trouble: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


_PLAIN = {"accept-encoding": "identity"}


async def scrape(client: httpx.AsyncClient, lane: LaneSettings, at: float) -> Reading:
    """One look at a lane.

    Raises:
        ScrapeError: it does not answer, too late, or with something else.
    """
    import httpx

    parts = urlsplit(lane.url)
    place = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    body = bytearray()
    try:
        async with asyncio.timeout(lane.timeout), client.stream("GET", lane.url, headers=_PLAIN) as response:
            if response.status_code != 200:
                raise ScrapeError(f"{place} answers {response.status_code} when asked for metrics")
            if response.headers.get("content-encoding", "identity") != "identity":
                # A few kilobytes can become gigabytes.
                raise ScrapeError(f"the metrics of {place} are compressed, which was not asked for")
            async for data in response.aiter_raw():
                body += data
                if len(body) > LARGEST:
                    raise ScrapeError(f"the metrics of {place} are larger than {LARGEST:,} bytes")
    except TimeoutError:
        raise ScrapeError(f"{place} does not answer within {lane.timeout:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ScrapeError(f"{place} does not answer ({str(error)[:120] or type(error).__name__})") from None
    # Parsing a large exposition takes a while; the event loop serves others.
    return await asyncio.to_thread(_read, bytes(body), lane, at)


def _read(body: bytes, lane: LaneSettings, at: float) -> Reading:
    return reading_of(read_exposition(body.decode("utf-8", "replace")), lane, at)


class Lanes:
    """The lanes that are watched, by one event loop. A lane is asked when somebody looks, at most once an interval.

    Args:
        clock: seconds, monotonic.

    Raises:
        InputError: two lanes have one name.
    """

    def __init__(self, settings: Sequence[LaneSettings], *, clock: Callable[[], float] = time.monotonic) -> None:
        names = [one.name for one in settings]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"the serving lane '{twice[0]}' is there twice", next_step="give each lane its own name")
        self._kept = {one.name: _Kept(one) for one in settings}
        self._clock = clock
        self._client: httpx.AsyncClient | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The lanes' names."""
        return tuple(self._kept)

    async def look(self, *, names: Sequence[str] | None = None) -> tuple[LaneView, ...]:
        """How the lanes are, asked anew where the last time is an interval ago; raises nothing for a lane in trouble.

        Raises:
            KeyError: a name is none of a lane.
        """
        kept = [self._kept[name] for name in (self.names if names is None else names)]
        await asyncio.gather(*(self._refresh(one) for one in kept))
        return tuple(self._view(one) for one in kept)

    def seen(self) -> tuple[LaneView, ...]:
        """How the lanes were when they were last asked; asks nobody."""
        return tuple(self._view(one) for one in self._kept.values())

    @contextlib.asynccontextmanager
    async def watching(self, *, every: float = 5.0) -> AsyncIterator[Lanes]:
        """Asks the lanes by itself while it is open, so that ``seen`` is always fresh; closes at its end."""

        async def watch() -> None:
            while True:
                await self.look()
                await asyncio.sleep(every)

        task = asyncio.create_task(watch())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.close()

    async def close(self) -> None:
        """Ends its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _refresh(self, kept: _Kept) -> None:
        async with kept.lock:
            now = self._clock()
            if kept.asked is not None and now - kept.asked < kept.settings.interval:
                return
            kept.asked = now
            try:
                reading = await scrape(self._http(), kept.settings, now)
            except ScrapeError as error:
                kept.trouble = error.what
                return
            kept.trouble = ""
            kept.readings.append(reading)
            # One that is older than the window is kept, so that there is always one to compare with.
            while len(kept.readings) > 2 and now - kept.readings[1].at >= kept.settings.window:
                kept.readings.popleft()

    def _view(self, kept: _Kept) -> LaneView:
        settings, latest = kept.settings, kept.readings[-1] if kept.readings else None
        age = self._clock() - latest.at if latest is not None else None
        stale = age is not None and age > settings.stale
        lane: Lane | None = None
        # A lane that did not answer the last time is unknown, whatever it said before.
        if latest is not None and not stale and not kept.trouble:
            lane = measure(latest, kept.readings[0] if len(kept.readings) > 1 else None)
        trouble = kept.trouble or (f"what is known of it is {age:.0f} s old" if stale and age is not None else "")
        verdict = judge(lane, settings.slo, trouble=trouble)
        return LaneView(
            settings.name, lane, age, stale, trouble, verdict, scale(lane, settings.scaling, verdict)
        )  # fmt: skip

    def _http(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None:
            # Reading the certificates of all authorities takes 50 ms; without TLS a context that trusts nobody does.
            tls = any(one.settings.url.startswith("https:") for one in self._kept.values())
            trust = ssl.create_default_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._client = httpx.AsyncClient(timeout=None, follow_redirects=False, verify=trust)
        return self._client


def lane_queue_depths(views: Sequence[LaneView]) -> Mapping[str, int]:
    """Lane -> requests that wait; lanes of which nothing is known are left out."""
    return {
        view.name: int(view.lane.waiting) for view in views if view.lane is not None and view.lane.waiting is not None
    }
