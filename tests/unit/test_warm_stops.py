"""How a run in a shared process is asked to stop."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterable

import pytest

from maestro.process import StopEvent
from maestro_defs.stops import RunStop, look_for_cancelled, registered, stop_of


def test_asking_is_taken_once() -> None:
    stop = RunStop()
    assert not stop.take()
    stop.ask()
    assert stop.is_set()
    assert stop.take()
    assert not stop.take()


def test_asking_the_same_again_is_not_asking_twice() -> None:
    stop = RunStop()
    stop.ask()
    stop.ask()
    assert [stop.take(), stop.take()] == [True, False]


def test_asking_a_second_time_is_taken_a_second_time() -> None:
    stop = RunStop()
    stop.ask()
    assert stop.take()
    stop.ask(2)
    assert stop.take()


def test_leaving_is_not_stopping() -> None:
    stop = RunStop()
    stop.leave()
    assert stop.is_set()
    assert stop.leaving
    assert not stop.take()


def test_a_run_is_woken_for_what_was_asked_before_and_after() -> None:
    woken: list[str] = []
    stop = RunStop()
    stop.ask()
    stop.wakes(lambda: woken.append("before"))
    stop.leave()
    assert woken == ["before", "before"]


def test_a_stop_is_found_by_the_runs_id_while_it_is_carried_out() -> None:
    stop = RunStop()
    with registered("one", stop):
        assert stop_of("one") is stop
    assert stop_of("one") is None


def test_a_parked_run_says_that_it_is_left() -> None:
    said = threading.Event()
    stop = RunStop(said.set)
    threading.Thread(target=stop.park, daemon=True).start()
    assert said.wait(60)


def test_all_runs_of_a_process_are_asked_about_at_once_and_not_too_often() -> None:
    asked: list[list[str]] = []

    def cancelled(run_ids: Iterable[str]) -> list[str]:
        asked.append(sorted(run_ids))
        return ["two", "unknown"]

    one, two = RunStop(), RunStop()
    with registered("one", one), registered("two", two):
        look_for_cancelled(cancelled, every=0)
        look_for_cancelled(cancelled, every=3600)
    assert asked == [["one", "two"]]
    assert (one.is_set(), two.is_set()) == (False, True)


def readable(event: StopEvent) -> bool:
    return bool(select.select([event.descriptor], [], [], 0)[0])


def test_a_stop_event_can_be_waited_for_like_a_socket() -> None:
    event = StopEvent()
    assert not readable(event)
    event.set()
    assert readable(event)


def test_a_stop_event_that_was_set_before_is_readable_at_once() -> None:
    event = StopEvent()
    event.set()
    assert readable(event)


def test_a_stop_event_cannot_be_taken_back() -> None:
    with pytest.raises(RuntimeError, match="stays asked"):
        StopEvent().clear()
