"""The circuit breaker: when it opens, for how long, and who may try it again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from maestro.llm.breaker import Breakers, Settings
from maestro.llm.model import ProviderError

NAME = "gpt-4o-mini"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(Settings(failures=3, ratio=0.5, window=10, wait=15, longest_wait=60), clock)


def error(kind: str = "unavailable", retry_after: float | None = None) -> ProviderError:
    return ProviderError("it answered 503", kind=kind, retry_after=retry_after)


def failures(breakers: Breakers, times: int, kind: str = "unavailable") -> None:
    for _ in range(times):
        breakers.failed(NAME, error(kind))


def test_a_deployment_nobody_called_is_closed(breakers: Breakers) -> None:
    assert breakers.phase(NAME) == "closed"
    assert breakers.admits(NAME)
    assert breakers.open_ones() == {}


def test_it_opens_after_failures_in_a_row(breakers: Breakers) -> None:
    failures(breakers, 2)
    assert breakers.admits(NAME)
    failures(breakers, 1)
    assert breakers.phase(NAME) == "open"
    assert not breakers.admits(NAME)


def test_an_answer_in_between_begins_the_row_anew(breakers: Breakers) -> None:
    failures(breakers, 2)
    breakers.answered(NAME)
    failures(breakers, 2)
    assert breakers.phase(NAME) == "closed"


def test_it_opens_when_half_of_the_last_calls_failed(breakers: Breakers) -> None:
    for _ in range(4):
        failures(breakers, 1)
        breakers.answered(NAME)
    assert breakers.phase(NAME) == "closed"
    breakers.answered(NAME)
    failures(breakers, 1)
    assert breakers.phase(NAME) == "open"


@pytest.mark.parametrize("kind", ["bad_request", "context", "refused"])
def test_a_request_that_was_at_fault_says_nothing_of_the_deployment(breakers: Breakers, kind: str) -> None:
    failures(breakers, 20, kind)
    assert breakers.phase(NAME) == "closed"


def test_one_call_tries_it_when_the_wait_is_over(breakers: Breakers, clock: Clock) -> None:
    failures(breakers, 3)
    clock.now += 15
    assert breakers.phase(NAME) == "half_open"
    assert breakers.admits(NAME)
    assert not breakers.admits(NAME)
    assert "tries it" in breakers.open_ones()[NAME].last


def test_an_answer_to_the_probe_closes_it(breakers: Breakers, clock: Clock) -> None:
    failures(breakers, 3)
    clock.now += 15
    breakers.admits(NAME)
    breakers.answered(NAME)
    assert breakers.phase(NAME) == "closed"
    failures(breakers, 2)
    assert breakers.phase(NAME) == "closed"


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_bound(breakers: Breakers, clock: Clock) -> None:
    failures(breakers, 3)
    for wait in (15, 30, 60, 60):
        clock.now += wait - 0.5
        assert breakers.phase(NAME) == "open", wait
        clock.now += 0.5
        assert breakers.admits(NAME), wait
        failures(breakers, 1)


def test_a_probe_that_was_cancelled_leaves_room_for_another(breakers: Breakers, clock: Clock) -> None:
    failures(breakers, 3)
    clock.now += 15
    assert breakers.admits(NAME)
    breakers.left(NAME)
    assert breakers.admits(NAME)


def test_a_late_answer_of_an_older_call_does_not_close_an_open_one(breakers: Breakers) -> None:
    failures(breakers, 3)
    breakers.answered(NAME)
    assert breakers.phase(NAME) == "open"


def test_retry_after_of_a_rate_limit_holds_it_open_for_so_long(breakers: Breakers, clock: Clock) -> None:
    breakers.failed(NAME, error("rate_limit", 40))
    clock.now += 39
    assert not breakers.admits(NAME)
    clock.now += 1
    assert breakers.admits(NAME)


def test_what_the_provider_asked_for_is_told_until_it_fails_by_itself(breakers: Breakers, clock: Clock) -> None:
    breakers.failed(NAME, error("rate_limit", 7200))
    told = breakers.open_ones(NOW)[NAME]
    assert (told.failures, told.asked, told.until) == (0, 7200, NOW + timedelta(hours=1))
    clock.now += 3600
    failures(breakers, 3)
    assert breakers.open_ones(NOW)[NAME].asked is None


def test_rate_limits_are_no_failures(breakers: Breakers, clock: Clock) -> None:
    for _ in range(10):
        breakers.failed(NAME, error("rate_limit", 1))
        clock.now += 1
        assert breakers.admits(NAME)
    breakers.answered(NAME)
    assert breakers.phase(NAME) == "closed"


def test_no_provider_can_shut_itself_out_for_days(breakers: Breakers, clock: Clock) -> None:
    breakers.failed(NAME, error("rate_limit", 1e9))
    clock.now += 3600
    assert breakers.admits(NAME)


def test_a_decision_is_told_until_when_and_why(breakers: Breakers) -> None:
    failures(breakers, 3)
    told = breakers.open_ones(NOW)[NAME]
    assert told.until == NOW + timedelta(seconds=15)
    assert told.failures == 3
    assert told.last == "unavailable: it answered 503"


def test_deployments_do_not_share_a_breaker(breakers: Breakers) -> None:
    failures(breakers, 3)
    assert breakers.admits("another")
