"""Circuit breakers of several processes: what opens in one is open in the others, and so is what closes."""

from __future__ import annotations

import pytest

from maestro.llm.breaker import Breakers, Opening, Settings
from maestro.llm.model import ProviderError
from tests.unit.test_llm_breaker import NAME, Clock, error, failures


class Shared:
    """What processes have told each other, as the database has it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[str, tuple[float, Opening]] = {}
        self.written = 0

    def opened(self, name: str, opening: Opening) -> None:
        self.written += 1
        self._rows[name] = (self._clock(), opening)

    def closed(self, name: str, id: str) -> None:
        self.written += 1
        if name in self._rows and self._rows[name][1].id == id:
            del self._rows[name]

    def now(self) -> dict[str, Opening]:
        found = {}
        for name, (at, one) in self._rows.items():
            past = self._clock() - at
            if past < one.kept:
                found[name] = Opening(
                    one.id, one.seconds - past, one.kept - past, one.failures, one.opened, one.last, one.asked
                )
        return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared(clock: Clock) -> Shared:
    return Shared(clock)


def process(clock: Clock, shared: Shared) -> Breakers:
    settings = Settings(failures=3, ratio=0.5, window=10, wait=15, longest_wait=60)
    return Breakers(settings, clock, on_open=shared.opened, on_close=shared.closed)


@pytest.fixture
def one(clock: Clock, shared: Shared) -> Breakers:
    return process(clock, shared)


@pytest.fixture
def other(clock: Clock, shared: Shared) -> Breakers:
    return process(clock, shared)


def test_what_opens_in_one_is_open_in_the_other_with_its_reason(one: Breakers, other: Breakers, shared: Shared) -> None:
    failures(one, 3)
    other.heard(shared.now())
    assert not other.admits(NAME)
    found = other.open_ones()[NAME]
    assert (found.failures, found.last) == (3, "unavailable: it answered 503")


def test_a_call_that_succeeds_or_fails_once_is_told_to_nobody(one: Breakers, shared: Shared) -> None:
    failures(one, 2)
    one.answered(NAME)
    assert shared.written == 0


def test_calls_that_were_on_their_way_when_it_opened_are_not_told_again(one: Breakers, shared: Shared) -> None:
    failures(one, 4)
    told = shared.written
    failures(one, 10)
    assert shared.written == told


def test_when_the_time_is_over_one_call_tries_in_a_process_that_only_heard_of_it(
    one: Breakers, other: Breakers, shared: Shared, clock: Clock
) -> None:
    failures(one, 3)
    clock.now += 16
    other.heard(shared.now())
    assert other.phase(NAME) == "half_open"
    assert [other.admits(NAME), other.admits(NAME)] == [True, False]


def test_a_try_that_fails_elsewhere_doubles_the_wait_for_all(
    one: Breakers, other: Breakers, shared: Shared, clock: Clock
) -> None:
    failures(one, 3)
    clock.now += 16
    other.heard(shared.now())
    assert other.admits(NAME)
    other.failed(NAME, error())
    one.heard(shared.now())
    clock.now += 29
    assert (one.phase(NAME), other.phase(NAME)) == ("open", "open")
    clock.now += 2
    assert (one.phase(NAME), other.phase(NAME)) == ("half_open", "half_open")


def test_a_try_that_succeeds_elsewhere_closes_it_for_all(
    one: Breakers, other: Breakers, shared: Shared, clock: Clock
) -> None:
    failures(one, 3)
    one.heard(shared.now())
    other.heard(shared.now())
    clock.now += 16
    assert other.admits(NAME)
    other.answered(NAME)
    one.heard(shared.now())
    assert (one.phase(NAME), other.phase(NAME)) == ("closed", "closed")
    assert shared.now() == {}


def test_what_was_read_before_it_closed_does_not_open_it_again(
    one: Breakers, other: Breakers, shared: Shared, clock: Clock
) -> None:
    failures(one, 3)
    clock.now += 16
    before = shared.now()
    assert one.admits(NAME)
    one.answered(NAME)
    one.heard(before)
    assert one.phase(NAME) == "closed"


def test_what_could_not_be_told_stays_open_where_it_opened(one: Breakers) -> None:
    failures(one, 3)
    one.heard({})
    assert one.phase(NAME) == "open"


def test_a_process_that_never_met_it_forgets_it_after_the_same_time_again(
    one: Breakers, other: Breakers, shared: Shared, clock: Clock
) -> None:
    failures(one, 3)
    one.heard(shared.now())
    clock.now += 31
    other.heard(shared.now())
    one.heard(shared.now())
    assert (one.phase(NAME), other.phase(NAME)) == ("half_open", "closed")


def test_what_a_provider_asked_for_is_told_as_such(one: Breakers, other: Breakers, shared: Shared) -> None:
    one.failed(NAME, error("rate_limit", retry_after=30))
    other.heard(shared.now())
    assert other.open_ones()[NAME].asked == 30


def test_a_rate_limit_of_a_moment_is_not_told(one: Breakers, shared: Shared) -> None:
    one.failed(NAME, ProviderError("429", kind="rate_limit"))
    assert one.phase(NAME) == "open"
    assert shared.written == 0


def test_what_answers_here_is_not_left_alone_because_another_process_cannot_reach_it(
    one: Breakers, other: Breakers, shared: Shared, clock: Clock
) -> None:
    other.answered(NAME)
    failures(one, 3)
    assert one.phase(NAME) == "open"
    other.heard(shared.now())
    assert other.phase(NAME) == "closed"
    other.failed(NAME, error())
    other.heard(shared.now())
    assert other.phase(NAME) == "open"


def test_what_others_have_seen_fail_for_weeks_fails_here_like_anything_else(other: Breakers, clock: Clock) -> None:
    other.heard({NAME: Opening("opening", 0.0, 60.0, 5, 5000, "it is gone", None)})
    assert other.admits(NAME)
    other.failed(NAME, error())
    assert other.phase(NAME) == "open"
    clock.now += 61
    assert other.phase(NAME) == "half_open"
