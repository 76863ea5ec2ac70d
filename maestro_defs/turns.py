"""Who of a run's threads deals with Dagster now: one at a time, and first whoever has yet to begin its step's work.

What Dagster does for a step before and after its work is nothing but Python, so threads that do it at the same time
get no more done: Python gives each a few milliseconds in turn, and all of them are late by the time of all of them.
Here each finishes what it has begun, and work that can begin does so before work that is done is written down: when a
step's work is done, its thread waits until it is decided which step takes its place, and until that one is at work. The
work itself is no turn: it waits for a process, and others go on meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_PATIENCE_SECONDS = 0.05
"""How long what is done waits for what is expected, should that never come."""


class Turns:
    """One turn at a time, in the order they were asked for; those before a step's work come first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._expected = 0
        self._before: deque[threading.Lock] = deque()
        self._after: deque[threading.Lock] = deque()

    @contextmanager
    def taken(self, worked: Callable[[], None]) -> Iterator[None]:
        """A turn for the block, but for what it does ``at_work``.

        Args:
            worked: called by this thread when its step's work is done, before it waits for the turn after it.
        """
        with self._lock:
            self._expected = max(0, self._expected - 1)
        self._take(self._before)
        token = _current.set((self, worked))
        try:
            yield
        finally:
            _current.reset(token)
            self._give()

    @contextmanager
    def _given(self, worked: Callable[[], None]) -> Iterator[None]:
        self._give()
        try:
            yield
        finally:
            worked()
            self._take(self._after)

    def expect(self) -> None:
        """Somebody is about to ask for a turn before a step's work, or to say that nobody will."""
        with self._lock:
            self._expected += 1

    def expect_no_more(self, count: int = 1) -> None:
        """So many that were expected will not come."""
        with self._lock:
            self._expected = max(0, self._expected - count)
            if not self._taken:
                self._hand_on()

    def _take(self, waiting: deque[threading.Lock]) -> None:
        with self._lock:
            if not self._taken and (waiting is self._before or not self._expected):
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            waiting.append(mine)
        while not mine.acquire(timeout=_PATIENCE_SECONDS):  # Released by who hands the turn on.
            with self._lock:
                if not self._taken:
                    self._expected = 0
                    self._hand_on()

    def _give(self) -> None:
        with self._lock:
            self._hand_on()

    def _hand_on(self) -> None:
        waiting = self._before or (() if self._expected else self._after)
        self._taken = bool(waiting)
        if isinstance(waiting, deque) and waiting:
            waiting.popleft().release()


_current: ContextVar[tuple[Turns, Callable[[], None]] | None] = ContextVar("current_turn", default=None)


@contextmanager
def at_work() -> Iterator[None]:
    """The work of a step: others have their turns during the block. Under a stock executor there are none."""
    current = _current.get()
    if current is None:
        yield
        return
    turns, worked = current
    with turns._given(worked):
        yield
