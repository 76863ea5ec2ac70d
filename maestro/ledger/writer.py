"""The ledger for callers that cannot wait, such as an event loop: futures, served by one thread of each process.

What waits is written in one transaction, with that of callers of the same ``Ledger`` in other threads.
"""

from __future__ import annotations

import os
import threading
import weakref
from concurrent.futures import Future
from typing import Any, overload

from maestro.errors import MaestroError
from maestro.ledger.committer import PATIENCE
from maestro.ledger.model import Crossing, Reservation
from maestro.ledger.operations import Release, Reserve, Settle
from maestro.ledger.store import Ledger


class AsyncLedger:
    """Submits what a call of a model asks of ``Ledger``; the future has its result or its error.

    Bad input fails the future too, so a caller looks in one place. A reservation whose future could be cancelled is not
    made; everything else is carried out all the same.
    After a fork the child has a thread of its own; what the parent had submitted is the parent's.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._start_over()
        _WRITERS.add(self)

    @classmethod
    def open(cls, url: str, *, patience: float = PATIENCE) -> AsyncLedger:
        """Opens the ledger too.

        Args:
            patience: as of ``Ledger.open``.

        Raises:
            InputError, MaestroError: as ``Ledger.open``.
        """
        return cls(Ledger.open(url, patience=patience))

    @overload
    def submit(self, wish: Reserve, *, wake: bool = True) -> Future[Reservation]: ...
    @overload
    def submit(self, wish: Settle, *, wake: bool = True) -> Future[tuple[Crossing, ...]]: ...
    @overload
    def submit(self, wish: Release, *, wake: bool = True) -> Future[None]: ...
    def submit(self, wish: Reserve | Settle | Release, *, wake: bool = True) -> Future[Any]:
        """``Ledger.reserve``, ``settle`` or ``release``.

        Args:
            wake: False: it is written with whatever is submitted next, or when ``wake`` is called, which the caller
                has to see to.
        """
        try:
            if not isinstance(wish, Release):
                wish.checked()
        except MaestroError as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed
        answer = self.ledger.committer.put(wish, self.wake)
        if wake:
            self.wake()
        return answer

    def close(self, *, ledger: bool = True) -> None:
        """Writes what was submitted and ends the thread.

        Args:
            ledger: close the ledger as well.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        if ledger:
            self.ledger.close()

    def _start_over(self) -> None:
        self._changed = threading.Condition()
        self._waits = False
        self._closing = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Has what was submitted written now."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="maestro-ledger-writer", daemon=True)
                self._thread.start()
            self._waits = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waits:
                    if self._closing:
                        return
                    self._changed.wait()
                self._waits = False
            self.ledger.committer.serve()


_WRITERS: weakref.WeakSet[AsyncLedger] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_WRITERS):
        writer._start_over()


os.register_at_fork(after_in_child=_after_fork)
