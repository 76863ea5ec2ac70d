"""Group commit: callers of several threads share one transaction, and so one wait for the disk.

Whoever comes first writes for all that wait; who waited meanwhile finds their result made. There is no thread of its
own, nothing to start or stop, and a lone caller pays nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from maestro.audit.errors import AuditError

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGEST = 2000
"""Items written in one transaction at most, apart from those one caller hands in together."""


class _Ticket(Generic[Item, Result]):
    __slots__ = ("error", "items", "leads", "results", "turn")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.results: list[Result] | None = None
        self.error: BaseException | None = None
        self.leads = False
        self.turn = threading.Event()


class GroupCommit(Generic[Item, Result]):
    """Collects what several threads want written.

    Args:
        write: writes all items in one transaction and returns a result for each, in order.
    """

    def __init__(self, write: Callable[[Sequence[Item]], list[Result]]) -> None:
        self._write = write
        self._waiting: list[_Ticket[Item, Result]] = []
        self._busy = False
        self._lock = threading.Lock()

    def submit(self, items: Sequence[Item]) -> list[Result]:
        """Writes the items, perhaps together with others'; they stay together and in order.

        Raises:
            Exception: what ``write`` raised; then none of them is written, unless the error says otherwise.
        """
        ticket: _Ticket[Item, Result] = _Ticket(items)
        with self._lock:
            self._waiting.append(ticket)
            ticket.leads, self._busy = not self._busy, True
        try:
            if not ticket.leads:
                # Each waits for a signal of its own: at a shared lock they would all be woken one after the other.
                ticket.turn.wait()
            if ticket.leads:
                self._serve(self._next() or [ticket])
        finally:
            self._hand_over(ticket)
        if ticket.error is not None:
            raise ticket.error
        assert ticket.results is not None
        return ticket.results

    def _hand_over(self, ticket: _Ticket[Item, Result]) -> None:
        """Makes the first that waits the next to write, if it was ``ticket``'s turn."""
        with self._lock:
            if ticket.results is None and ticket.error is None and ticket in self._waiting:
                # Interrupted while it waited: nobody would be there to take its turn.
                self._waiting.remove(ticket)
            if not ticket.leads:
                return
            ticket.leads = False
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].turn.set()
            else:
                self._busy = False

    def _next(self) -> list[_Ticket[Item, Result]]:
        with self._lock:
            count, total = 0, 0
            for ticket in self._waiting:
                if count and total + len(ticket.items) > LARGEST:
                    break
                count, total = count + 1, total + len(ticket.items)
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _serve(self, tickets: Sequence[_Ticket[Item, Result]]) -> None:
        try:
            results = self._write([item for ticket in tickets for item in ticket.items])
        except Exception as error:  # noqa: BLE001 - each caller gets it
            for ticket in tickets:
                ticket.error = error
                ticket.turn.set()
            return
        except BaseException:
            # Ctrl-C reaches one thread; the others are told what it means for them.
            for ticket in tickets:
                ticket.error = AuditError(
                    "writing to the audit log was interrupted; the entries may be in it or not",
                    next_step="look with `maestro audit show`",
                )
                ticket.turn.set()
            raise
        position = 0
        for ticket in tickets:
            ticket.results = results[position : position + len(ticket.items)]
            position += len(ticket.items)
            ticket.turn.set()
