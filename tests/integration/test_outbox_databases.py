"""The outbox with several programs at once, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from maestro.outbox import Message, Outbox
from maestro.server.database import open_engine

NOW = datetime(2100, 1, 1, tzinfo=UTC)
THREADS = 5
MESSAGES = 12


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Outbox]]:
    url = f"sqlite:///{tmp_path / 'server.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")
    engines = []

    def outbox() -> Outbox:
        engines.append(open_engine(url))
        return Outbox(engines[-1])

    yield outbox
    for engine in engines:
        engine.dispose()


def at_once(*work: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def carried_out(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=carried_out, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_many_writers_and_two_senders_lose_nothing_double_nothing_and_keep_each_threads_order(
    opened: Callable[[], Outbox],
) -> None:
    sent: dict[str, list[int]] = defaultdict(list)
    lock = threading.Lock()
    total = THREADS * MESSAGES

    def write(thread: int, outbox: Outbox) -> None:
        for number in range(MESSAGES):
            outbox.put(Message("shop", f"run-{thread}", f"{thread}/{number}", "x", {"n": number}, replaces=False))

    def send(outbox: Outbox) -> None:
        while True:
            batch = outbox.due(NOW, 3)
            for one in batch:
                with lock:
                    sent[one.message.thread].append(one.message.payload["n"])
                outbox.sent(one, {})
            with lock:
                if sum(map(len, sent.values())) >= total:
                    return

    writers = [(thread, opened()) for thread in range(THREADS)]
    senders = [opened() for _ in range(2)]
    at_once(
        *(partial(write, thread, outbox) for thread, outbox in writers),
        *(partial(send, outbox) for outbox in senders),
    )

    assert dict(sent) == {f"run-{thread}": list(range(MESSAGES)) for thread in range(THREADS)}


def test_of_the_same_message_put_at_once_one_is_taken(opened: Callable[[], Outbox]) -> None:
    taken: Counter[bool] = Counter()
    outboxes = [opened() for _ in range(4)]
    begin = threading.Barrier(len(outboxes))

    def put(outbox: Outbox) -> None:
        begin.wait()
        taken[outbox.put(Message("shop", "run-1", "same", "x", {}))] += 1

    at_once(*(partial(put, outbox) for outbox in outboxes))
    assert taken == {True: 1, False: 3}


def test_what_is_remembered_by_several_at_once_is_there(opened: Callable[[], Outbox]) -> None:
    outboxes = [opened() for _ in range(4)]
    begin = threading.Barrier(len(outboxes))

    def remember(outbox: Outbox) -> None:
        begin.wait()
        outbox.remember("shop", "check_run/1", "17")

    at_once(*(partial(remember, outbox) for outbox in outboxes))
    assert outboxes[0].recall("shop", "check_run/1") == "17"


def test_a_message_survives_the_program_that_put_it(opened: Callable[[], Outbox]) -> None:
    opened().put(Message("shop", "run-1", "a", "x", {"text": "é\u2028"}))
    (one,) = opened().due(NOW)
    assert one.message.payload == {"text": "é\u2028"}
