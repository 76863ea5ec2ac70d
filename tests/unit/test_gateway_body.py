"""A body is read within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from starlette.requests import Request
from starlette.types import Message

from maestro.gateway.body import Budget, read_body
from maestro.gateway.refusal import RefusedError


def a_request(chunks: Sequence[bytes], *, ends: bool = True, length: str | None = None) -> Request:
    parts: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if ends:
        parts.append({"type": "http.request", "body": b"", "more_body": False})
    messages = iter(parts)

    async def receive() -> Message:
        found = next(messages, None)
        if found is None:
            await asyncio.Event().wait()
        assert found is not None
        return found

    headers = [] if length is None else [(b"content-length", length.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def read(request: Request, budget: Budget, limit: int = 100, seconds: float = 30.0) -> bytes:
    async def reading() -> bytes:
        with budget.share() as share:
            return await read_body(request, limit, share, seconds)

    return asyncio.run(reading())


def test_chunks_are_joined_and_given_back() -> None:
    budget = Budget(1000)
    assert read(a_request([b"a" * 60, b"b" * 40]), budget) == b"a" * 60 + b"b" * 40
    assert budget.used == 0


@pytest.mark.parametrize(
    "request_", [a_request([b"x" * 60, b"x" * 41]), a_request([], length="101"), a_request([], length="9" * 5000)]
)
def test_a_body_that_is_too_long_is_refused_whatever_it_says(request_: Request) -> None:
    with pytest.raises(RefusedError, match="longer than 100 bytes") as refused:
        read(request_, Budget(1000))
    assert refused.value.status == 413


@pytest.mark.parametrize("length", ["5", "-1", "²", "five"])
def test_what_the_length_says_wrongly_does_no_harm(length: str) -> None:
    assert read(a_request([b"x" * 60], length=length), Budget(1000)) == b"x" * 60


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    with pytest.raises(RefusedError, match=r"did not arrive in 0\.01 seconds") as refused:
        read(a_request([b"x"], ends=False), Budget(1000), seconds=0.01)
    assert refused.value.status == 408


def test_a_sender_that_goes_away_is_no_error_of_ours() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    request = Request({"type": "http", "method": "POST", "headers": []}, gone)
    with pytest.raises(RefusedError, match="the body ended early") as refused:
        read(request, Budget(1000))
    assert refused.value.status == 400


def test_all_bodies_together_are_bounded() -> None:
    budget = Budget(100)
    with budget.share() as other:
        assert other.grow(60)
        with pytest.raises(RefusedError, match="too much is being taken in at once") as refused:
            read(a_request([b"x" * 50]), budget)
        assert refused.value.status == 503
        assert budget.used == 60
    assert read(a_request([b"x" * 50]), budget)


def test_a_single_body_larger_than_the_budget_is_read_alone() -> None:
    assert read(a_request([b"x" * 80]), Budget(50)) == b"x" * 80


def test_what_was_passed_on_is_held_until_it_is_released() -> None:
    budget = Budget(100)
    with budget.share() as share:
        share.grow(70)
        share.pass_on()
    assert budget.used == 70
    share.release()
    assert budget.used == 0
