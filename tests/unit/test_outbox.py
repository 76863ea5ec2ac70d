"""The outbox: what is put in comes out once, in order, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro.outbox import Message, Outbox
from maestro.outbox.outbox import CLAIM
from maestro.server.database import open_engine

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    engine = open_engine(f"sqlite:///{tmp_path / 'server.db'}")
    yield Outbox(engine)
    engine.dispose()


def message(key: str, thread: str = "run-1", **changes: Any) -> Message:
    return Message("shop", thread, key, "github.check_run", {"said": key}, **{"replaces": False, **changes})


def keys(outbox: Outbox, now: datetime = NOW, limit: int = 20) -> list[str]:
    return [one.message.key for one in outbox.due(now, limit)]


def test_a_message_comes_out_as_it_was_put_in(outbox: Outbox) -> None:
    put = message("a", rank=3, replaces=True)
    assert outbox.put(put, NOW)
    (one,) = outbox.due(NOW)
    assert (one.message, one.attempts, one.created) == (put, 1, NOW)


def test_a_key_is_taken_once(outbox: Outbox) -> None:
    assert outbox.put(message("a"), NOW)
    assert not outbox.put(message("a"), NOW)
    assert not outbox.put(message("a", "run-2"), NOW)
    assert outbox.put(Message("other", "run-1", "a", "x", {}), NOW)


def test_a_key_is_not_taken_again_after_it_was_sent(outbox: Outbox) -> None:
    outbox.put(message("a"), NOW)
    (one,) = outbox.due(NOW)
    outbox.sent(one, {"id": 7}, NOW)
    assert not outbox.put(message("a"), NOW)
    (kept,) = outbox.listed("sent")
    assert (kept.answer, kept.settled) == ({"id": 7}, NOW)


def test_of_a_thread_only_the_first_is_due(outbox: Outbox) -> None:
    for key, thread in (("a", "1"), ("b", "1"), ("c", "2")):
        outbox.put(message(key, thread), NOW)
    first = outbox.due(NOW)
    assert [one.message.key for one in first] == ["a", "c"]
    outbox.sent(first[0], {}, NOW)
    assert keys(outbox) == ["b"]


def test_what_is_to_be_tried_later_holds_up_its_thread_alone(outbox: Outbox) -> None:
    for key, thread in (("a", "1"), ("b", "1"), ("c", "2")):
        outbox.put(message(key, thread), NOW)
    first, other = outbox.due(NOW)
    outbox.failed(first, "GitHub does not answer", LATER)
    outbox.sent(other, {}, NOW)
    assert keys(outbox) == []
    assert outbox.next_at() == LATER
    assert keys(outbox, LATER) == ["a"]


def test_what_is_given_up_lets_the_next_go_on(outbox: Outbox) -> None:
    outbox.put(message("a"), NOW)
    outbox.put(message("b"), NOW)
    (first,) = outbox.due(NOW)
    outbox.dead(first, "refused", NOW)
    assert keys(outbox) == ["b"]
    assert [(one.message.key, one.reason) for one in outbox.listed("dead")] == [("a", "refused")]


def test_what_one_sender_has_in_hand_no_other_gets(outbox: Outbox) -> None:
    outbox.put(message("a"), NOW)
    assert keys(outbox) == ["a"]
    assert keys(outbox) == []


def test_what_a_sender_that_died_had_in_hand_is_sent_by_another_and_counted(outbox: Outbox) -> None:
    outbox.put(message("a"), NOW)
    outbox.due(NOW)
    (one,) = outbox.due(NOW + CLAIM)
    assert one.attempts == 2


def test_a_sender_that_was_too_slow_does_not_undo_what_the_next_one_found(outbox: Outbox) -> None:
    outbox.put(message("a"), NOW)
    (slow,) = outbox.due(NOW)
    (fast,) = outbox.due(NOW + CLAIM)
    outbox.dead(slow, "refused", NOW)
    outbox.failed(slow, "no answer", LATER)
    outbox.sent(fast, {}, NOW)
    assert outbox.counts() == {"sent": 1}


def test_what_was_not_tried_is_not_counted_as_an_attempt(outbox: Outbox) -> None:
    outbox.put(message("a"), NOW)
    (one,) = outbox.due(NOW)
    outbox.postponed(one, LATER)
    (again,) = outbox.due(LATER)
    assert again.attempts == 1


def test_a_later_state_takes_the_place_of_those_that_wait(outbox: Outbox) -> None:
    for key in ("queued", "running", "succeeded"):
        outbox.put(message(key, replaces=True), NOW)
    assert keys(outbox) == ["succeeded"]
    assert outbox.counts() == {"replaced": 2, "waiting": 1}


def test_what_a_sender_has_in_hand_is_not_replaced_and_still_comes_first(outbox: Outbox) -> None:
    outbox.put(message("queued", replaces=True), NOW)
    (queued,) = outbox.due(NOW)
    outbox.put(message("running", replaces=True), NOW)
    outbox.failed(queued, "no answer", NOW)
    assert keys(outbox) == ["queued"]


def test_another_thread_is_not_replaced(outbox: Outbox) -> None:
    outbox.put(message("a", "1", replaces=True), NOW)
    outbox.put(message("b", "2", replaces=True), NOW)
    assert keys(outbox) == ["a", "b"]


def test_an_earlier_state_is_not_taken_after_a_later_one(outbox: Outbox) -> None:
    assert outbox.put(message("succeeded", rank=2), NOW)
    assert not outbox.put(message("running", rank=1), NOW)
    assert outbox.put(message("succeeded, more of it", rank=2), NOW)


def test_a_payload_that_is_no_json_is_not_taken(outbox: Outbox) -> None:
    with pytest.raises(TypeError):
        outbox.put(Message("shop", "1", "a", "x", {"at": NOW}), NOW)
    assert outbox.listed() == []


def test_what_was_settled_long_ago_is_deleted_and_what_waits_never_is(outbox: Outbox) -> None:
    outbox.put(message("a"), NOW)
    outbox.put(message("b"), NOW)
    (first,) = outbox.due(NOW)
    outbox.sent(first, {}, NOW)
    outbox.remember("shop", "x", "1", NOW)
    assert outbox.prune(LATER) == 1
    assert [one.message.key for one in outbox.listed()] == ["b"]
    assert outbox.recall("shop", "x") is None


def test_what_is_remembered_last_is_recalled(outbox: Outbox) -> None:
    assert outbox.recall("shop", "check_run/1") is None
    outbox.remember("shop", "check_run/1", "17")
    outbox.remember("shop", "check_run/1", "18")
    outbox.remember("other", "check_run/1", "19")
    assert outbox.recall("shop", "check_run/1") == "18"


def test_nothing_waits_in_an_empty_outbox(outbox: Outbox) -> None:
    assert outbox.next_at() is None
    assert outbox.due(NOW) == []
