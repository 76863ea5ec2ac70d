"""What a gateway has written: reservations, settlements, outcomes; by the ledger's writer and a thread of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from maestro.ledger.model import Crossing, Reservation
from maestro.ledger.operations import Release, Reserve, Settle
from maestro.llm.decisions import DecisionStore, Outcome
from maestro.llm.model import Decision
from maestro.llm.redact import Redactor

if TYPE_CHECKING:
    from maestro.ledger.writer import AsyncLedger

_LOG = logging.getLogger(__name__)
TOGETHER_SECONDS = 0.005
"""A settlement waits so long for the next reservation: one transaction serves both."""


class Bookkeeper:
    """Only a reservation is waited for; ``written`` waits for the rest. Belongs to the event loop of its gateway.

    Args:
        on_crossed: told, in that loop, of budgets that passed a threshold.
    """

    def __init__(
        self,
        ledger: AsyncLedger,
        decisions: DecisionStore,
        redactor: Redactor,
        on_crossed: Callable[[Sequence[Crossing]], object],
    ) -> None:
        self._ledger = ledger
        self._decisions = decisions
        self._redactor = redactor
        self._on_crossed = on_crossed
        self._writing: set[Future[Any]] = set()
        self._recorder: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waking = False

    async def reserve(self, wish: Reserve) -> None:
        """Sets money aside; when the caller is cancelled meanwhile, what the writer grants all the same is given back.

        Raises:
            BudgetExceededError: a budget does not hold it.
            MaestroError: as ``Ledger.reserve``.
        """
        self._loop = self._loop or asyncio.get_running_loop()
        future = self._ledger.submit(wish)
        self._writing.add(future)
        future.add_done_callback(self._writing.discard)
        try:
            reservation = await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            future.add_done_callback(lambda done: self._give_back(wish.id, done))
            raise
        self._tell(reservation.crossed)

    def settle(self, wish: Settle) -> None:
        """Hands a settlement to the writer; its crossings are told when it is done."""
        future = self._ledger.submit(wish, wake=not self._will_wake())
        self._write(future, f"reservation {wish.id} could not be settled")

    def release(self, wish: Release) -> None:
        """Hands a release to the writer."""
        self._write(self._ledger.submit(wish), f"reservation {wish.id} could not be released")

    def record(self, decision: Decision, outcome: Outcome) -> None:
        """Keeps the outcome, and the decision where no reservation has."""
        if self._recorder is None:
            self._recorder = ThreadPoolExecutor(1, thread_name_prefix="llm-outcomes")
        future = self._recorder.submit(self._decisions.keep, decision, outcome)
        self._write(future, f"the outcome of {decision.id} could not be kept")

    async def written(self) -> None:
        """Returns when everything that was handed in is written."""
        while self._writing:
            self._ledger.wake()
            await asyncio.wait([asyncio.wrap_future(future) for future in list(self._writing)])

    def close(self) -> None:
        """Ends the thread; for when everything is written."""
        if self._recorder is not None:
            self._recorder.shutdown()
            self._recorder = None

    def in_loop(self, work: Callable[[], object]) -> None:
        """Does it now, or, from a thread in which nothing of the gateway may be touched, soon."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if self._loop is None or self._loop is here or self._loop.is_closed():
            work()
        else:
            self._loop.call_soon_threadsafe(work)

    def _give_back(self, id: str, done: Future[Reservation]) -> None:
        if not done.cancelled() and done.exception() is None:
            self.release(Release(id, "cancelled before it was sent"))

    def _will_wake(self) -> bool:
        """Whether the ledger's writer is woken in a moment, so that what is settled now need not."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False  # A stream that nobody closed, found by the garbage collector.
        if loop is not (self._loop or loop):
            return False
        if not self._waking:
            self._waking = True
            loop.call_later(TOGETHER_SECONDS, self._wake)
        return True

    def _wake(self) -> None:
        self._waking = False
        self._ledger.wake()

    def _write(self, future: Future[Any], trouble: str) -> None:
        loop = self._loop = self._loop or asyncio.get_running_loop()
        self._writing.add(future)

        def done(written: Future[Any]) -> None:
            # In the writer's thread, which must not wait for anybody.
            try:
                loop.call_soon_threadsafe(self._after, written, trouble)
            except RuntimeError:
                self._writing.discard(written)

        future.add_done_callback(done)

    def _after(self, written: Future[Any], trouble: str) -> None:
        self._writing.discard(written)
        error = written.exception()
        if error is not None:
            # The lease is what is left: the ledger then charges the worst case.
            _LOG.error("%s: %s", trouble, self._redactor.text(str(error)))
        elif isinstance(written.result(), tuple):
            self._tell(written.result())

    def _tell(self, crossings: Sequence[Crossing]) -> None:
        if crossings:
            self._on_crossed(crossings)
