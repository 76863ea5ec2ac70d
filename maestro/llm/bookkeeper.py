"""What a gateway has written: reservations, settlements, outcomes; by the ledger's writer and a thread of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from maestro.errors import MaestroError
from maestro.ledger.errors import LedgerLostError
from maestro.ledger.model import Crossing, Reservation, Unit
from maestro.ledger.operations import Release, Reserve, Settle
from maestro.llm.decisions import DecisionStore, Outcome
from maestro.llm.errors import Unsettled
from maestro.llm.model import Decision
from maestro.llm.redact import Redactor

if TYPE_CHECKING:
    from maestro.ledger.writer import AsyncLedger

_LOG = logging.getLogger(__name__)
TOGETHER_SECONDS = 0.005
"""A settlement waits so long for the next reservation: one transaction serves both."""
RECORD_SECONDS = 5.0
"""An answer that is there does not wait longer for a database that does not take its outcome."""


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
        self.on_unsettled: Callable[[Unsettled], object] = _logged
        """Told, in that loop, of what is in the ledger at its worst case since its truth could not be written."""
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
            future.add_done_callback(lambda done: self._give_back(wish, done))
            raise
        self._tell(reservation.crossed)

    def settle(self, wish: Settle, most: Callable[[], Mapping[Unit, int]]) -> None:
        """Hands a settlement to the writer; its crossings are told when it is done.

        Args:
            most: what was reserved.
        """
        future = self._ledger.submit(wish, wake=not self._will_wake())
        self._write(future, lambda error: self._unsettled(wish, error, most))

    def release(self, wish: Release, most: Callable[[], Mapping[Unit, int]]) -> None:
        """Hands a release to the writer; arguments are those of ``settle``."""
        self._write(self._ledger.submit(wish), lambda error: self._unsettled(wish, error, most))

    async def recorded(self, decision: Decision, outcome: Outcome) -> None:
        """:meth:`record`, and returns when it is written, or after some seconds: whoever asked may look at it now."""
        writing = asyncio.wrap_future(self.record(decision, outcome))
        # Told already; it may fail when nobody waits any more.
        writing.add_done_callback(lambda one: one.cancelled() or one.exception())
        await asyncio.wait([writing], timeout=RECORD_SECONDS)

    def record(self, decision: Decision, outcome: Outcome) -> Future[None]:
        """Keeps the outcome, and the decision where no reservation has."""
        if self._recorder is None:
            self._recorder = ThreadPoolExecutor(1, thread_name_prefix="llm-outcomes")
        future = self._recorder.submit(self._decisions.keep, decision, outcome)
        self._write(
            future,
            lambda error: _LOG.error(
                "the outcome of %s could not be kept: %s", decision.id, self._redactor.text(str(error))
            ),
        )
        return future

    async def written(self) -> None:
        """Returns when everything that was handed in is written."""
        while self._writing:
            self._ledger.wake()
            done, _ = await asyncio.wait([asyncio.wrap_future(future) for future in list(self._writing)])
            for one in done:
                # Who else is told of an error is ``_after``; asyncio logs the traceback of one nobody has looked at.
                if not one.cancelled():
                    one.exception()

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

    def _give_back(self, wish: Reserve, done: Future[Reservation]) -> None:
        if not done.cancelled() and done.exception() is None:
            self.release(Release(wish.id, "cancelled before it was sent"), lambda: wish.amounts)

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

    def _write(self, future: Future[Any], failed: Callable[[BaseException], object]) -> None:
        loop = self._loop = self._loop or asyncio.get_running_loop()
        self._writing.add(future)

        def done(written: Future[Any]) -> None:
            # In the writer's thread, which must not wait for anybody.
            try:
                loop.call_soon_threadsafe(self._after, written, failed)
            except RuntimeError:
                self._writing.discard(written)

        future.add_done_callback(done)

    def _after(self, written: Future[Any], failed: Callable[[BaseException], object]) -> None:
        self._writing.discard(written)
        error = written.exception()
        if error is not None:
            failed(error)
        elif isinstance(written.result(), tuple):
            self._tell(written.result())

    def _unsettled(self, wish: Settle | Release, error: BaseException, most: Callable[[], Mapping[Unit, int]]) -> None:
        # The lease is what is left: the ledger then charges the worst case.
        what = str(error)
        next_step = ""
        if isinstance(error, MaestroError):
            what = f"{error.where}: {error.what}" if error.where else error.what
            next_step = error.next_step or ""
        actual = wish.actual if isinstance(wish, Settle) else {}
        text = self._redactor.text
        lost = isinstance(error, LedgerLostError)
        self.on_unsettled(Unsettled(wish.id, actual, most(), text(what), text(next_step), lost))

    def _tell(self, crossings: Sequence[Crossing]) -> None:
        if crossings:
            self._on_crossed(crossings)


def _logged(one: Unsettled) -> None:
    following = f"\n  next: {one.next_step}" if one.next_step else ""
    _LOG.error("reservation %s could not be %s: %s%s", one.reservation, one.verb, one.reason, following)
