"""The threads of a run deal with Dagster one at a time, and those whose work has not begun come first."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from maestro_defs.turns import Turns, at_work

PATIENCE = 10


def started(action: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def waiting(turns: Turns, count: int) -> None:
    """Until so many threads wait for their turn."""
    enough = threading.Event()
    while len(turns._before) + len(turns._after) < count:
        enough.wait(0.001)


def test_work_that_has_not_begun_comes_before_what_is_done_and_each_in_the_order_of_asking() -> None:
    turns, order = Turns(), list[str]()
    working, worked = threading.Event(), threading.Event()

    def at_its_end(name: str) -> None:
        with turns.taken(lambda: None):
            with at_work():
                working.set()
                worked.wait(PATIENCE)
            order.append(f"{name} ends")

    def at_its_beginning(name: str) -> None:
        with turns.taken(lambda: None):
            order.append(f"{name} begins")

    threads = [started(lambda: at_its_end("first"))]
    assert working.wait(PATIENCE)
    with turns.taken(lambda: None):
        worked.set()
        waiting(turns, 1)
        for count, name in enumerate(("second", "third"), start=2):
            threads.append(started(lambda name=name: at_its_beginning(name)))  # type: ignore[misc]  # mypy cannot type a default of a lambda
            waiting(turns, count)
    for thread in threads:
        thread.join(PATIENCE)
    assert order == ["second begins", "third begins", "first ends"]


def test_a_turn_is_one_threads_alone_but_not_while_it_works() -> None:
    turns, inside, most = Turns(), list[int](), list[int]()
    together = threading.Barrier(5, timeout=PATIENCE)

    def step() -> None:
        with turns.taken(lambda: None):
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            with at_work():
                together.wait()  # All five work at the same time, or the barrier breaks.
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [started(step) for _ in range(5)]
    for thread in threads:
        thread.join(PATIENCE)
    assert most == [1] * 10


def test_it_is_said_that_the_work_is_done_before_the_turn_after_it_comes() -> None:
    turns, said = Turns(), threading.Event()

    def step() -> None:
        with turns.taken(said.set), at_work():
            pass

    with turns.taken(lambda: None):
        thread = started(step)
        waiting(turns, 1)
        with at_work():
            assert said.wait(PATIENCE), "the step worked while this thread had given its turn away"
    thread.join(PATIENCE)


def test_what_is_done_waits_for_a_step_that_is_expected_to_begin() -> None:
    turns, order = Turns(), list[str]()
    working, worked = threading.Event(), threading.Event()

    def at_its_end() -> None:
        with turns.taken(turns.expect):
            with at_work():
                working.set()
                worked.wait(PATIENCE)
            order.append("the first ends")

    thread = started(at_its_end)
    assert working.wait(PATIENCE)
    worked.set()
    waiting(turns, 1)
    with turns.taken(lambda: None):  # The one that was expected: the turn is free, although another waits for it.
        order.append("the second begins")
    thread.join(PATIENCE)
    assert order == ["the second begins", "the first ends"]


def test_what_is_expected_and_never_comes_stops_nobody() -> None:
    turns, order = Turns(), list[str]()

    def step() -> None:
        with turns.taken(turns.expect):
            with at_work():
                pass
            order.append("ends")

    thread = started(step)
    thread.join(PATIENCE)
    assert order == ["ends"]


def test_what_is_done_goes_on_once_nobody_is_expected_any_more() -> None:
    turns = Turns()
    turns.expect()
    turns.expect()
    turns.expect_no_more(2)
    with turns.taken(lambda: None), at_work():
        pass
    assert not turns._taken


def test_work_that_fails_leaves_the_turn_to_others() -> None:
    turns, said = Turns(), list[str]()
    with pytest.raises(ValueError, match="broken"), turns.taken(lambda: said.append("worked")), at_work():
        raise ValueError("broken")
    with turns.taken(lambda: None):
        said.append("next")
    assert said == ["worked", "next"]


def test_outside_of_a_turn_work_is_just_done() -> None:
    with at_work():
        pass
