"""The gateway for threads: one event loop in a thread of its own, started when it is needed first."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, TypeVar

from maestro.errors import RunCancelledError
from maestro.ledger.model import Attribution
from maestro.llm.answer_stream import AnswerStream
from maestro.llm.gateway import NO_LIMITS, Gateway
from maestro.llm.model import Answer, Chunk, Decision, ModelRequest
from maestro.llm.patience import Patience
from maestro.llm.situation import Limits

T = TypeVar("T")
LOOK_SECONDS = 0.1
"""How soon a cancelled step is noticed."""
CLOSE_SECONDS = 30.0
FORK_SECONDS = 5.0
"""A fork does not wait longer for what is being written."""


class BlockingGateway:
    """What ``Gateway`` does, for callers that wait; for any number of threads. A context manager.

    A forked child gets a gateway and a loop of its own. The fork waits until nothing is being written, and the database
    is opened anew after it: a child that inherits an open SQLite file would take the parent's locks for its own.

    Args:
        make: opens a gateway; called in the loop's thread, once a process.
    """

    def __init__(self, make: Callable[[], Gateway]) -> None:
        self._make = make
        self._started: tuple[asyncio.AbstractEventLoop, threading.Thread, Gateway] | None = None
        self._still: threading.Event | None = None
        self._start_over()
        _LIVE.add(self)

    def __enter__(self) -> BlockingGateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(
        self,
        request: ModelRequest,
        attribution: Attribution,
        *,
        limits: Limits = NO_LIMITS,
        cancelled: threading.Event | None = None,
        patience: Patience | None = None,
    ) -> Answer:
        """``Gateway.ask``; what it raises, and RunCancelledError when ``cancelled`` is set meanwhile."""
        return self._wait(
            lambda gateway: gateway.ask(request, attribution, limits=limits, patience=patience), cancelled
        )

    def stream(
        self,
        request: ModelRequest,
        attribution: Attribution,
        *,
        limits: Limits = NO_LIMITS,
        cancelled: threading.Event | None = None,
    ) -> BlockingStream:
        """``Gateway.stream``, as an iterator; raises as :meth:`ask`."""
        stream = self._wait(lambda gateway: gateway.stream(request, attribution, limits=limits), cancelled)
        return BlockingStream(self, stream, cancelled)

    def decide(self, request: ModelRequest, attribution: Attribution, *, limits: Limits = NO_LIMITS) -> Decision:
        """``Gateway.decide``."""
        return self._wait(lambda gateway: gateway.decide(request, attribution, limits=limits), None)

    def health(self) -> Mapping[str, str | None]:
        """``Gateway.health``."""
        return self._wait(lambda gateway: gateway.health(), None)

    def settled(self) -> None:
        """``Gateway.settled``."""
        self._wait(lambda gateway: gateway.settled(), None)

    def close(self) -> None:
        """Settles everything and ends the loop; again, or before anything was asked: nothing."""
        if self._pid != os.getpid():
            return
        with self._starting:
            started, self._started = self._started, None
        if started is None:
            return
        loop, thread, gateway = started
        try:
            asyncio.run_coroutine_threadsafe(_closed(gateway), loop).result(CLOSE_SECONDS)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(CLOSE_SECONDS)

    def _wait(self, work: Callable[[Gateway], Coroutine[Any, Any, T]], cancelled: threading.Event | None) -> T:
        loop, gateway = self._running()
        return _result(asyncio.run_coroutine_threadsafe(work(gateway), loop), cancelled)

    def _running(self) -> tuple[asyncio.AbstractEventLoop, Gateway]:
        if self._pid != os.getpid():
            self._start_over()
        with self._starting:
            if self._started is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_serve, args=(loop,), name="maestro-llm", daemon=True)
                thread.start()
                try:
                    gateway = asyncio.run_coroutine_threadsafe(_made(self._make), loop).result()
                except BaseException:
                    loop.call_soon_threadsafe(loop.stop)
                    raise
                self._started = (loop, thread, gateway)
            return self._started[0], self._started[2]

    def _stand_still(self) -> None:
        """Before a fork: the loop stops between two pieces of work, with the database closed, until ``_go_on``."""
        started = self._started
        if started is None or self._pid != os.getpid() or threading.current_thread() is started[1]:
            return
        stands = threading.Event()
        self._still = threading.Event()
        asyncio.run_coroutine_threadsafe(_stood_still(started[2], stands, self._still), started[0])
        stands.wait(FORK_SECONDS)

    def _go_on(self) -> None:
        if self._still is not None:
            self._still.set()
            self._still = None

    def _start_over(self) -> None:
        self._still = None
        self._pid = os.getpid()
        self._starting = threading.Lock()
        self._started = None


class BlockingStream:
    """Iterates over the pieces of an answer; ``answer`` is there after the last. Close it, or iterate to the end."""

    def __init__(self, gateway: BlockingGateway, stream: AnswerStream, cancelled: threading.Event | None) -> None:
        self._gateway = gateway
        self._stream = stream
        self._cancelled = cancelled

    @property
    def answer(self) -> Answer | None:
        """The whole answer, after the last piece."""
        return self._stream.answer

    @property
    def decision(self) -> Decision:
        """The decision this is the outcome of."""
        return self._stream.decision

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        piece = self._gateway._wait(lambda _gateway: _next(self._stream), self._cancelled)
        if piece is None:
            raise StopIteration
        return piece

    def close(self) -> None:
        """Settles what was used until now; after the end: nothing."""
        self._gateway._wait(lambda _gateway: self._stream.aclose(), None)

    def __enter__(self) -> BlockingStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _result(future: Future[T], cancelled: threading.Event | None) -> T:
    """What the loop gives; the work is cancelled when the caller is."""
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                return future.result(None if cancelled is None else LOOK_SECONDS)
            # A TimeoutError may also be the work's own; then it is done.
            if future.done():
                return future.result()
            if cancelled is not None and cancelled.is_set():
                raise RunCancelledError("the step was cancelled while a model was asked")
    except CancelledError:
        raise RunCancelledError("the request was cancelled") from None
    finally:
        # KeyboardInterrupt too: nobody waits for it any more.
        future.cancel()


async def _made(make: Callable[[], Gateway]) -> Gateway:
    return make()


async def _closed(gateway: Gateway) -> None:
    # Whoever was cancelled still has to hand what it used to the ledger.
    leaving = [task for task in asyncio.all_tasks() if task.cancelling()]
    if leaving:
        await asyncio.wait(leaving)
    await gateway.close()


async def _stood_still(gateway: Gateway, stands: threading.Event, go_on: threading.Event) -> None:
    await gateway.settled()
    await gateway.sharing.written()
    gateway.ledger.ledger.close()
    stands.set()
    # The loop's thread itself is to wait.
    go_on.wait(FORK_SECONDS)


async def _next(stream: AnswerStream) -> Chunk | None:
    return await anext(stream, None)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        with contextlib.suppress(Exception):
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


_LIVE: weakref.WeakSet[BlockingGateway] = weakref.WeakSet()


def _before_fork() -> None:
    for gateway in list(_LIVE):
        gateway._stand_still()


def _after_fork_in_parent() -> None:
    for gateway in list(_LIVE):
        gateway._go_on()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
