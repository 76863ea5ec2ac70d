"""Brings the results of another thread's futures into the event loop, those of one commit together.

``asyncio.wrap_future`` wakes the loop once for each, while the thread that writes holds what the loop needs to go on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Answers(Generic[Result]):
    """The bridge of one event loop."""

    def __init__(self) -> None:
        self._done: list[tuple[asyncio.Future[Result], concurrent.futures.Future[Result]]] = []
        self._lock = threading.Lock()

    def of(self, future: concurrent.futures.Future[Result]) -> asyncio.Future[Result]:
        """The same result in this loop. Whoever stops waiting for it changes nothing for the thread."""
        loop = asyncio.get_running_loop()
        here: asyncio.Future[Result] = loop.create_future()

        def done(there: concurrent.futures.Future[Result]) -> None:
            with self._lock:
                self._done.append((here, there))
                # Whoever finds others there leaves the waking to the first of them.
                first = len(self._done) == 1
            if first:
                loop.call_soon_threadsafe(self._hand_over)

        future.add_done_callback(done)
        return here

    def _hand_over(self) -> None:
        with self._lock:
            done, self._done = self._done, []
        for here, there in done:
            if here.done():
                continue
            error = there.exception()
            if error is not None:
                here.set_exception(error)
            else:
                here.set_result(there.result())
