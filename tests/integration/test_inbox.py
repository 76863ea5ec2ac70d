"""The inbox, its writer and its outcomes, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro.inbox import (
    Inbox,
    InboxBusyError,
    InboxUnavailableError,
    InboxWriter,
    NewDelivery,
    Outcome,
    Outcomes,
    Stored,
)
from maestro.server.database import open_engine

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_database"))
    return f"sqlite:///{tmp_path / 'inbox.db'}"


@pytest.fixture
def inbox(url: str) -> Iterator[Inbox]:
    made = Inbox(url)
    yield made
    made.close()


@pytest.fixture
def writer(url: str) -> Iterator[InboxWriter]:
    made = InboxWriter(url)
    yield made
    made.close()


def a_delivery(name: str, project: str = "shop", body: bytes = b"{}") -> NewDelivery:
    headers = {"content-type": "application/json", "x-odd": "ünï"}
    return NewDelivery("github", name, "push", project, headers, body, "00-trace-01")


def test_a_delivery_comes_out_as_it_went_in(inbox: Inbox) -> None:
    new = a_delivery("one", body=bytes(range(256)))
    stored = inbox.append(new)
    found = inbox.get(stored.id)
    assert found is not None
    assert (stored.new, found.id) == (True, stored.id)
    assert NewDelivery(*(getattr(found, name) for name in NewDelivery.__slots__)) == new
    assert abs(datetime.now(UTC) - found.received) < timedelta(minutes=5)


def test_the_same_again_is_where_it_was(inbox: Inbox) -> None:
    first = inbox.append(a_delivery("one"))
    assert inbox.append(a_delivery("one")) == Stored(first.id, new=False)
    assert inbox.append(a_delivery("one", body=b"[]")) == Stored(first.id, new=False, same=False)
    assert inbox.append(a_delivery("one", project="other")).new, "each project has ids of its own"


def test_repeats_within_one_commit_are_seen(writer: InboxWriter, inbox: Inbox) -> None:
    held = threading.Event()
    # The first waits in its own commit while the others gather for the next one.
    first = writer.put(a_delivery("first"))
    first.add_done_callback(lambda _: held.wait(5))
    futures = [writer.put(a_delivery("same", body=body)) for body in (b"1", b"1", b"2")]
    held.set()
    stored = [future.result(30) for future in futures]
    assert [(one.new, one.same) for one in stored] == [(True, True), (False, True), (False, False)]
    assert len({one.id for one in stored}) == 1
    assert [one.body for one in inbox.after(0) if one.delivery == "same"] == [b"1"]


def test_many_writers_lose_nothing_and_double_nothing(url: str, inbox: Inbox) -> None:
    writers = [InboxWriter(url) for _ in range(3)]
    with ThreadPoolExecutor(12) as pool:

        def send(number: int) -> Stored:
            return writers[number % 3].put(a_delivery(f"d{number // 2}")).result(60)

        stored = list(pool.map(send, range(600)))
    for writer in writers:
        writer.close()
    assert sum(one.new for one in stored) == 300
    kept = inbox.after(0, 1000)
    assert sorted(one.delivery for one in kept) == sorted(f"d{number}" for number in range(300))


def test_a_reader_that_follows_the_positions_misses_nothing(url: str, inbox: Inbox) -> None:
    writers = [InboxWriter(url) for _ in range(2)]
    futures = [writers[number % 2].put(a_delivery(f"d{number}")) for number in range(400)]
    seen: list[str] = []
    cursor = 0
    while len(seen) < 400:
        done = wait(futures, timeout=0).not_done == set()
        page = inbox.after(cursor)
        seen += [one.delivery for one in page]
        cursor = page[-1].id if page else cursor
        if done and not page:
            break
    for writer in writers:
        writer.close()
    assert len(seen) == len(set(seen)) == 400


def test_what_is_read_is_chosen_by_position_project_and_name(inbox: Inbox) -> None:
    ids = [inbox.append(a_delivery(f"d{number}", project=f"p{number % 2}")).id for number in range(6)]
    assert inbox.newest() == ids[-1]
    assert [one.id for one in inbox.after(ids[1], 2)] == ids[2:4]
    assert [one.id for one in inbox.after(0, project="p1")] == ids[1::2]
    assert [one.id for one in inbox.recent(2)] == [ids[5], ids[4]]
    assert [one.id for one in inbox.recent(2, project="p0", before=ids[4])] == [ids[2], ids[0]]
    assert inbox.recent(1)[0].size == 2
    found = inbox.find("github", "d3")
    assert found is not None
    assert found.id == ids[3]
    assert inbox.find("gitlab", "d3") is None
    assert inbox.find("github", "d3", project="p0") is None
    assert inbox.get(ids[-1] + 100) is None


def test_a_page_of_large_bodies_is_short(inbox: Inbox) -> None:
    for number in range(2):
        inbox.append(a_delivery(f"d{number}", body=bytes(17 * 1024 * 1024)))
    first = inbox.after(0)
    assert [one.delivery for one in first] == ["d0"]
    assert [one.delivery for one in inbox.after(first[-1].id)] == ["d1"]


def test_pruning_gives_no_position_twice(inbox: Inbox) -> None:
    last = [inbox.append(a_delivery(f"d{number}")) for number in range(3)][-1]
    assert inbox.prune(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert inbox.prune(datetime.now(UTC) + timedelta(hours=1)) == 3
    assert inbox.newest() == 0
    assert inbox.append(a_delivery("d0")).id > last.id


def test_a_closed_writer_has_written_what_it_took_and_takes_no_more(url: str, inbox: Inbox) -> None:
    writer = InboxWriter(url)
    futures = [writer.put(a_delivery(f"d{number}")) for number in range(500)]
    writer.close()
    assert all(future.result(0).new for future in futures)
    assert len(inbox.after(0, 1000)) == 500
    with pytest.raises(InboxUnavailableError, match="the inbox is closed"):
        writer.put(a_delivery("late")).result(0)


def test_outcomes_are_replaced_and_found(url: str) -> None:
    outcomes = Outcomes(open_engine(url))
    waiting = Outcome(1, "waiting", "GitHub is down", attempts=2, at=NOW, next_at=NOW, project="shop")
    outcomes.record(waiting)
    outcomes.record(waiting)
    outcomes.record(Outcome(2, "dead", "no commit", at=NOW))
    assert outcomes.get(1) == waiting
    assert outcomes.get(3) is None
    assert outcomes.unsettled(NOW - timedelta(seconds=1)) == []
    assert outcomes.unsettled(NOW) == [waiting]
    started = replace(waiting, state="started", runs=("a", "b"), next_at=None)
    outcomes.record(started)
    assert outcomes.unsettled(NOW) == []
    assert [one.inbox_id for one in outcomes.recent()] == [2, 1]
    assert outcomes.recent(state="started") == outcomes.recent(project="shop") == [started]


def test_a_cursor_only_moves_on(url: str) -> None:
    outcomes = Outcomes(open_engine(url))
    assert outcomes.cursor("conductor") == 0
    outcomes.set_cursor("conductor", 7)
    outcomes.set_cursor("conductor", 5)
    outcomes.set_cursor("sensor", 2)
    assert (outcomes.cursor("conductor"), outcomes.cursor("sensor")) == (7, 2)


def test_a_database_that_is_not_there_is_told_and_nothing_waits_for_ever(tmp_path: Path) -> None:
    writer = InboxWriter(f"sqlite:///{tmp_path / 'gone' / 'inbox.db'}", patience=0.2)
    with pytest.raises(InboxUnavailableError, match=r"the inbox cannot be written: .*unable to open database file"):
        writer.put(a_delivery("one")).result(30)
    assert writer.failure is not None
    (tmp_path / "gone").mkdir()
    while writer.failure is not None:
        threading.Event().wait(0.05)
    assert writer.put(a_delivery("one")).result(30).new
    writer.close()


def test_more_than_may_wait_is_refused(tmp_path: Path) -> None:
    writer = InboxWriter(f"sqlite:///{tmp_path / 'gone' / 'inbox.db'}", patience=60, most_waiting=5)
    futures = [writer.put(a_delivery(f"d{number}")) for number in range(20)]
    refused = [future for future in futures if future.done()]
    assert len(refused) >= 20 - 5 - 5
    with pytest.raises(InboxBusyError, match="5 deliveries wait to be written already"):
        refused[0].result(0)
    (tmp_path / "gone").mkdir()
    kept = [future.result(30) for future in futures if future not in refused]
    assert all(one.new for one in kept)
    writer.close()
