"""A circuit breaker for each deployment, kept in this process; what opens is told to other ones, and heard of them.

Hand-written: purgatory and aiobreaker count failures, but neither can be held open for what ``Retry-After`` says nor
tell what state it is in without a call.

::

    closed ── failures ──> open ── the wait is over ──> half open ── the probe answered ──> closed
                            ^                               └── the probe failed: twice the wait ──┐
                            └──────────────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import uuid4

from maestro.llm.model import ProviderError
from maestro.llm.state import LONGEST_COOL_DOWN, Breaker

Phase = Literal["closed", "open", "half_open"]
COUNTED = frozenset({"unavailable", "timeout", "garbage", "auth"})
"""Kinds of ProviderError that say something of the deployment; the others say something of the request."""


LEAST_TOLD = 2.0
"""Seconds; what is open for less is over before others hear of it."""
_MOST_DOUBLED = 30
_WELL_SECONDS = 10.0
_MARGIN = 1.5
"""Seconds before the end of an opening's time in which its absence does not say that it was closed."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A breaker that opened, as other processes are told.

    Args:
        id: of this opening.
        seconds: until one call tries it; below 0: it may.
        kept: seconds until that is forgotten.
        failures, opened: in a row; asked: seconds the provider asked for, where that is why.
    """

    id: str
    seconds: float
    kept: float
    failures: int
    opened: int
    last: str
    asked: float | None


@dataclass(frozen=True, slots=True)
class Settings:
    """When it opens, and for how long.

    Args:
        failures: in a row.
        ratio: of the last ``window`` calls, once there are that many.
        wait, longest_wait: seconds until it is tried again; doubled each time the probe fails.
    """

    failures: int = 5
    ratio: float = 0.5
    window: int = 20
    wait: float = 15.0
    longest_wait: float = 300.0


@dataclass(slots=True)
class _Circuit:
    recent: deque[bool]
    in_a_row: int = 0
    opened: int = 0
    """How often in a row, which is what the wait grows by."""
    until: float = 0.0
    cooling: bool = False
    """Open because the provider asked for it, not because it failed."""
    asked: float | None = None
    """Seconds it asked for, when it was last open for that."""
    probing: bool = False
    last: str = ""
    id: str = ""
    """Of the opening others were told, or have told; empty: none."""
    told: float = 0.0
    """Until when they were told that it is open."""
    heard: float = 0.0
    """Until when others are to have this opening, once they were seen to; 0: they were not."""
    dismissed: str = ""
    """Of the opening that is over; others may still tell it for a moment."""


@dataclass(slots=True)
class Breakers:
    """The breakers of all deployments; for one event loop, as nothing here waits.

    Args:
        clock: seconds that only grow.
        on_open: told of what opens, or is open for longer; on_close: of its end, with the opening's id. Must not wait.
    """

    settings: Settings = field(default_factory=Settings)
    clock: Callable[[], float] = time.monotonic
    on_open: Callable[[str, Opening], object] = lambda _name, _opening: None
    on_close: Callable[[str, str], object] = lambda _name, _id: None
    _circuits: dict[str, _Circuit] = field(default_factory=dict)
    _well: dict[str, float] = field(default_factory=dict)
    """When each was last answered, with no failure since."""

    def phase(self, name: str) -> Phase:
        """What state it is in."""
        circuit = self._circuits.get(name)
        if circuit is None or not circuit.until:
            return "closed"
        return "open" if self.clock() < circuit.until else "half_open"

    def admits(self, name: str) -> bool:
        """Whether a call may be made now; a half-open one admits one call, whose end must be told."""
        phase = self.phase(name)
        if phase == "closed":
            return True
        circuit = self._circuits[name]
        if phase == "open" or circuit.probing:
            return False
        circuit.probing = True
        return True

    def answered(self, name: str) -> None:
        """A call came to a good end."""
        self._well[name] = self.clock()
        circuit = self._circuits.get(name)
        if circuit is None:
            return
        circuit.recent.append(True)
        circuit.in_a_row = 0
        if circuit.until and self.clock() >= circuit.until:
            id = circuit.id
            _close(circuit)
            if id:
                self.on_close(name, id)
        circuit.probing = False

    def failed(self, name: str, error: ProviderError) -> None:
        """A call failed; ``Retry-After`` of a 429 or a 503 holds it open for so long."""
        if error.kind == "rate_limit" or error.retry_after is not None:
            self._cool_down(name, error)
        if error.kind == "rate_limit" or error.kind not in COUNTED:
            self.left(name)
            self._tell(name)
            return
        self._well.pop(name, None)
        circuit = self._circuit(name)
        was_probe, circuit.probing = circuit.probing, False
        circuit.recent.append(False)
        circuit.in_a_row += 1
        circuit.last = f"{error.kind}: {error.what}"
        settings = self.settings
        full = len(circuit.recent) == settings.window
        if (
            (was_probe and not circuit.cooling)
            or circuit.in_a_row >= settings.failures
            or (full and circuit.recent.count(False) >= settings.ratio * settings.window)
        ):
            # What has failed for days has doubled often enough for a number no float holds.
            wait = min(settings.wait * 2 ** min(circuit.opened, _MOST_DOUBLED), settings.longest_wait)
            if self.phase(name) != "open":
                circuit.opened += 1
            circuit.until = max(circuit.until, self.clock() + wait)
            circuit.cooling = False
        self._tell(name)

    def left(self, name: str) -> None:
        """A call ended without saying anything of the deployment: it was cancelled, or the request was at fault."""
        circuit = self._circuits.get(name)
        if circuit is not None:
            circuit.probing = False

    def open_ones(self, now: datetime | None = None) -> Mapping[str, Breaker]:
        """Those that admit nothing right now, for a decision; ``now`` is UTC."""
        if not self._circuits:
            return {}
        clock = self.clock()
        at = now or datetime.now(UTC)
        found: dict[str, Breaker] = {}
        for name, circuit in self._circuits.items():
            if clock < circuit.until:
                until = at + timedelta(seconds=circuit.until - clock)
                asked = circuit.asked if circuit.cooling else None
                found[name] = Breaker(circuit.in_a_row, until, circuit.last, asked)
            elif circuit.probing:
                found[name] = Breaker(circuit.in_a_row, at, f"{circuit.last} (one call tries it right now)".strip())
        return found

    def heard(self, openings: Mapping[str, Opening]) -> None:
        """What other processes say is open, by name; what they said before and say no more, one of them closed."""
        now = self.clock()
        for name, circuit in self._circuits.items():
            if name not in openings and now < circuit.heard:
                _close(circuit)
                circuit.probing = False
        for name, opening in openings.items():
            circuit = self._circuit(name)
            if opening.id == circuit.dismissed:
                continue
            if not circuit.until and now - self._well.get(name, -math.inf) < _WELL_SECONDS:
                continue  # It answers here; what is wrong may be with whoever told, such as its network.
            until = max(now + opening.seconds, 1e-9)  # 0 is closed.
            if opening.id != circuit.id:
                if circuit.until >= until:
                    continue
                circuit.id, circuit.until, circuit.told = opening.id, until, until
                circuit.opened, circuit.in_a_row, circuit.last = opening.opened, opening.failures, opening.last
                circuit.asked, circuit.cooling = opening.asked, opening.asked is not None
            circuit.heard = now + opening.kept - _MARGIN

    def _tell(self, name: str) -> None:
        circuit = self._circuits.get(name)
        if circuit is None:
            return
        left = circuit.until - self.clock()
        if left < LEAST_TOLD or circuit.until < circuit.told + 1:
            return
        circuit.id, circuit.told, circuit.heard = uuid4().hex, circuit.until, 0.0
        asked = circuit.asked if circuit.cooling else None
        # For as long again one call at a time tries it; then whoever has not met it knows nothing of it.
        self.on_open(name, Opening(circuit.id, left, 2 * left, circuit.in_a_row, circuit.opened, circuit.last, asked))

    def _cool_down(self, name: str, error: ProviderError) -> None:
        circuit = self._circuit(name)
        seconds = self.settings.wait / 15 if error.retry_after is None else error.retry_after
        until = self.clock() + min(seconds, LONGEST_COOL_DOWN)
        if until > circuit.until:
            circuit.cooling = circuit.cooling or not circuit.until or self.clock() >= circuit.until
            circuit.until, circuit.asked = until, error.retry_after
        circuit.last = f"{error.kind}: {error.what}"

    def _circuit(self, name: str) -> _Circuit:
        return self._circuits.setdefault(name, _Circuit(deque(maxlen=self.settings.window)))


def _close(circuit: _Circuit) -> None:
    # The failures before it recovered say nothing any more.
    circuit.recent.clear()
    circuit.in_a_row, circuit.until, circuit.opened, circuit.cooling = 0, 0.0, 0, False
    circuit.dismissed, circuit.id, circuit.told, circuit.heard = circuit.id, "", 0.0, 0.0
