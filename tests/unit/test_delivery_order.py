"""Deliveries of one project are taken in the order in which they came, also when one has to be tried again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from maestro.inbox import Delivery, Outcome
from maestro_defs.delivery_order import HELD_ATTEMPTS, DeliveryOrder

SOON = timedelta(seconds=1)


def delivery(number: int, project: str = "shop") -> Delivery:
    return Delivery("github", f"d{number}", "push", project, {}, b"{}", "", number, datetime.now(UTC))


class Taker:
    """Takes what it is given; what is to be tried again first is in ``troubled``, with how often it was tried."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []
        self.troubled: dict[int, int] = {}
        self.storing = True
        self.order = DeliveryOrder(self.take, 2)

    def take(self, one: Delivery, attempts: int) -> Outcome | None:
        self.taken.append((one.id, attempts))
        if not self.storing:
            return None
        tried = self.troubled.pop(one.id, None)
        if tried is None:
            return Outcome(one.id, "started", project=one.project)
        return Outcome(one.id, "waiting", attempts=tried, next_at=datetime.now(UTC) + SOON, project=one.project)

    def idle(self) -> list[int]:
        """What was taken, once nothing more is."""
        wait = threading.Event()
        while not self.order.idle:
            wait.wait(0.005)
        return [number for number, _ in self.taken]


@pytest.fixture
def taker() -> Iterator[Taker]:
    taker = Taker()
    yield taker
    taker.order.close()


def test_what_came_later_waits_for_one_that_is_tried_again_in_a_moment(taker: Taker) -> None:
    taker.troubled[1] = 1
    for number in (1, 2, 3):
        taker.order.begin(delivery(number), 0)
    assert taker.idle() == [1]
    assert [taker.order.is_open(number) for number in (1, 2, 3)] == [False, True, True]
    assert taker.order.first_open == 2
    taker.order.begin(delivery(1), 1)
    assert taker.idle() == [1, 1, 2, 3]
    assert taker.taken[1] == (1, 1)
    assert taker.order.first_open is None


def test_what_came_meanwhile_waits_too(taker: Taker) -> None:
    taker.troubled[1] = 1
    taker.order.begin(delivery(1), 0)
    assert taker.idle() == [1]
    taker.order.begin(delivery(2), 0)
    assert taker.idle() == [1]
    taker.order.begin(delivery(1), 1)
    assert taker.idle() == [1, 1, 2]


def test_another_project_does_not_wait(taker: Taker) -> None:
    taker.troubled[1] = 1
    taker.order.begin(delivery(1), 0)
    assert taker.idle() == [1]
    taker.order.begin(delivery(2, "site"), 0)
    assert taker.idle() == [1, 2]


def test_deliveries_of_no_project_do_not_wait_for_each_other(taker: Taker) -> None:
    taker.troubled[1] = 1
    taker.order.begin(delivery(1, ""), 0)
    taker.order.begin(delivery(2, ""), 0)
    assert taker.idle() == [1, 2]


def test_one_that_cannot_be_taken_for_long_is_passed_by(taker: Taker) -> None:
    taker.troubled[1] = HELD_ATTEMPTS + 1
    taker.order.begin(delivery(1), HELD_ATTEMPTS)
    taker.order.begin(delivery(2), 0)
    assert taker.idle() == [1, 2]


def test_one_that_was_waiting_before_the_term_is_waited_for(taker: Taker) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=1)
    taker.order.hold(Outcome(1, "waiting", attempts=1, next_at=long_ago, project="shop"))
    taker.order.release()
    taker.order.begin(delivery(2), 0)
    assert taker.idle() == []
    taker.order.begin(delivery(1), 1)
    assert taker.idle() == [1, 2]


def test_one_that_somebody_removed_is_not_waited_for_for_ever(taker: Taker) -> None:
    taker.troubled[1] = 1
    taker.order.begin(delivery(1), 0)
    taker.order.begin(delivery(2), 0)
    assert taker.idle() == [1]
    taker.order.release()
    assert taker.idle() == [1]
    taker.order.release(datetime.now(UTC) + timedelta(minutes=5))
    assert taker.idle() == [1, 2]


def test_one_whose_webhook_is_gone_is_waited_for_no_more(taker: Taker) -> None:
    held = Outcome(1, "waiting", attempts=1, next_at=datetime.now(UTC), project="shop")
    taker.order.hold(held)
    taker.order.begin(delivery(2), 0)
    taker.order.drop(Outcome(7, "waiting", project="shop"))
    assert taker.idle() == []
    taker.order.drop(held)
    assert taker.idle() == [2]


def test_the_oldest_of_a_project_comes_first_whenever_it_is_begun(taker: Taker) -> None:
    taker.order.hold(Outcome(1, "waiting", attempts=1, next_at=datetime.now(UTC), project="shop"))
    for number in (4, 3, 2):
        taker.order.begin(delivery(number), 0)
    taker.order.begin(delivery(1), 1)
    assert taker.idle() == [1, 2, 3, 4]


def test_a_project_whose_outcomes_cannot_be_stored_stops(taker: Taker) -> None:
    taker.storing = False
    taker.order.begin(delivery(1), 0)
    taker.order.begin(delivery(2), 0)
    taker.order.close()
    assert taker.taken == [(1, 0)]
    assert taker.order.first_open == 1
