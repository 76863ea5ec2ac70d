"""How a run is asked to stop where a signal cannot: a worker's runs are in threads, and signals go to its main one.

A worker registers a ``RunStop`` for each of its runs; the executor looks for it by the run's id. Asking once is what
one signal is (steps are stopped, finished ones undone, ``finally`` steps run), asking twice gives all that up. Leaving
is another thing: steps in progress end, no other begins, and the run is left as it is, for another worker to resume.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn


class RunStop(threading.Event):
    """Set once the run is to stop, for whatever reason; thread safe.

    Args:
        left: called, in the run's thread, when nothing of the run goes on any more and it can be resumed elsewhere.
    """

    def __init__(self, left: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._left = left
        self._changing = threading.Lock()
        self._asked = 0
        self._taken = 0
        self._leaving = False
        self._woken: Callable[[], None] = lambda: None

    @property
    def leaving(self) -> bool:
        """Whether the run is to be left for another worker."""
        return self._leaving

    def ask(self, times: int = 1) -> None:
        """Asks the run to stop: the first time as one signal does, the second time to give up its end as well.

        Args:
            times: how often it must have been asked afterwards, when that is known; asking again changes nothing.
        """
        with self._changing:
            self._asked = max(self._asked, times)
        self.set()
        self._woken()

    def leave(self) -> None:
        """Asks the run to stop between steps, without an end."""
        self._leaving = True
        self.set()
        self._woken()

    def take(self) -> bool:
        """True once for each time it was asked."""
        with self._changing:
            if self._taken >= self._asked:
                return False
            self._taken += 1
            return True

    def wakes(self, woken: Callable[[], None]) -> None:
        """From now on ``woken`` is called, in any thread, when the run is asked for something; at once if it was."""
        self._woken = woken
        if self.is_set():
            woken()

    def park(self) -> NoReturn:
        """Says that the run is left, and keeps its thread from doing anything more; the process ends without it."""
        self._left()
        while True:
            threading.Event().wait()


_stops: dict[str, RunStop] = {}
_looking = threading.Lock()
_looked = 0.0


@contextmanager
def registered(run_id: str, stop: RunStop) -> Iterator[RunStop]:
    """Within the block, ``stop`` is how the run is asked to stop."""
    _stops[run_id] = stop
    try:
        yield stop
    finally:
        del _stops[run_id]


def stop_of(run_id: str) -> RunStop | None:
    """How the run is asked to stop in this process; None when only signals do."""
    return _stops.get(run_id)


def look_for_cancelled(cancelled: Callable[[Sequence[str]], Iterable[str]], every: float) -> None:
    """Asks all runs of this process to stop that are marked as cancelled, with one question for all of them.

    Each of them may call this as often as it likes: one does it, the others go on.

    Args:
        cancelled: those of these runs' ids that are marked.
        every: seconds that must have passed since it was last asked.
    """
    global _looked
    if time.monotonic() - _looked < every or not _looking.acquire(blocking=False):
        return
    try:
        _looked = time.monotonic()
        for run_id in cancelled(list(_stops)):
            if (stop := _stops.get(run_id)) is not None:
                stop.ask()
    finally:
        _looking.release()
