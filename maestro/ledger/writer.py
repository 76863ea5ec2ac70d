"""The ledger for callers that cannot wait, such as an event loop: futures, served by one thread of each process.

What waits is written in one transaction, with that of callers of the same ``Ledger`` in other threads.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any, cast

from maestro.errors import MaestroError
from maestro.ledger.holders import this_holder
from maestro.ledger.model import Attribution, Crossing, Reservation, Unit
from maestro.ledger.operations import (
    LEASE,
    Companion,
    Extend,
    Operation,
    Release,
    Reserve,
    Settle,
    Spend,
    checked_lease,
)
from maestro.ledger.store import Ledger, Limits


class AsyncLedger:
    """Submits what ``Ledger`` does; each method means the same, and the future has its result or its error.

    Bad input fails the future too, so a caller looks in one place. A reservation whose future could be cancelled is not
    made; everything else is carried out all the same.
    After a fork the child has a thread of its own; what the parent had submitted is the parent's.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._start_over()
        _WRITERS.add(self)

    @classmethod
    def open(cls, url: str) -> AsyncLedger:
        """Opens the ledger too.

        Raises:
            InputError, MaestroError: as ``Ledger.open``.
        """
        return cls(Ledger.open(url))

    def submit_reserve(
        self,
        id: str,
        attribution: Attribution,
        amounts: Mapping[Unit, int],
        *,
        lease: float = LEASE,
        limits: Limits = {},  # noqa: B006 - it is only read
        also: Sequence[Companion] = (),
        sent: bool = False,
        model: str = "",
        provider: str = "",
        decision: str = "",
    ) -> Future[Reservation]:
        """``Ledger.reserve``."""
        wish = Reserve(
            *(id, attribution, amounts, lease, limits, also, sent, model, provider, decision), holder=this_holder()
        )
        return cast("Future[Reservation]", self._submit(wish))

    def submit_settle(
        self,
        id: str,
        actual: Mapping[Unit, int],
        *,
        model: str = "",
        provider: str = "",
        decision: str = "",
        facts: Mapping[str, object] = {},
        also: Sequence[Companion] = (),
        wake: bool = True,
    ) -> Future[tuple[Crossing, ...]]:
        """``Ledger.settle``.

        Args:
            wake: False: it is written with whatever is submitted next, or when ``wake`` is called, which the caller
                has to see to.
        """
        wish = Settle(id, actual, model, provider, decision, facts, also)
        return cast("Future[tuple[Crossing, ...]]", self._submit(wish, wake=wake))

    def submit_release(self, id: str, reason: str = "", *, also: Sequence[Companion] = ()) -> Future[None]:
        """``Ledger.release``."""
        return cast("Future[None]", self._submit(Release(id, reason, also)))

    def submit_extend(self, id: str, lease: float = LEASE) -> Future[datetime]:
        """``Ledger.extend``."""
        return cast("Future[datetime]", self._submit(Extend(id, lease)))

    def submit_spend(
        self,
        attribution: Attribution,
        amounts: Mapping[Unit, int],
        facts: Mapping[str, object] = {},
        *,
        limits: Limits = {},  # noqa: B006 - it is only read
        refuse: bool = True,
        id: str | None = None,
        also: Sequence[Companion] = (),
    ) -> Future[tuple[Crossing, ...]]:
        """``Ledger.spend``."""
        named = {} if id is None else {"id": id}
        wish = Spend(attribution, amounts, facts, limits, refuse, also=also, **named)
        return cast("Future[tuple[Crossing, ...]]", self._submit(wish))

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

    def _submit(self, operation: Operation, *, wake: bool = True) -> Future[Any]:
        try:
            match operation:
                case Reserve() | Settle() | Spend():
                    operation.checked()
                case Extend():
                    checked_lease(operation.lease)
        except MaestroError as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed
        answer = self.ledger.committer.put(operation, self.wake)
        if wake:
            self.wake()
        return answer

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
