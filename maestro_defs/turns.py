"""Who of a run's threads deals with Dagster now: one at a time, and first whoever has yet to begin its step's work.

What Dagster does for a step before and after its work is nothing but Python, so threads that do it at the same time
get no more done: Python gives each a few milliseconds in turn, and all of them are late by the time of all of them.
Here each finishes what it has begun, and work that can begin does so before work that is done is written down. The
work itself is no turn: it waits for a process, and others go on meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Turns:
    """One turn at a time, in the order they were asked for; those before a step's work come first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._before: deque[threading.Lock] = deque()
        self._after: deque[threading.Lock] = deque()

    @contextmanager
    def taken(self, worked: Callable[[], None]) -> Iterator[None]:
        """A turn for the block, but for what it does ``at_work``.

        Args:
            worked: called by this thread when its step's work is done, before it waits for the turn after it.
        """
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

    def _take(self, waiting: deque[threading.Lock]) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            waiting.append(mine)
        mine.acquire()  # Released by who hands the turn on.

    def _give(self) -> None:
        with self._lock:
            if self._before or self._after:
                (self._before or self._after).popleft().release()
            else:
                self._taken = False


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
