"""What a delivery is, and how its JSON is unwrapped."""

from __future__ import annotations

import pytest

from maestro.inbox import InboxError, NewDelivery
from maestro.inbox.liveness import lively
from maestro.inbox.model import json_payload


def a_delivery(content_type: str, body: bytes) -> NewDelivery:
    return NewDelivery("github", "1", "push", "", {"content-type": content_type}, body, "")


def test_json_is_the_payload_as_it_is() -> None:
    assert a_delivery("application/json", b'{"a": 1}').payload == b'{"a": 1}'


def test_a_form_holds_the_payload_in_one_field() -> None:
    kind = "application/x-www-form-urlencoded; charset=utf-8"
    assert a_delivery(kind, b"payload=%7B%22a%22%3A+%22%C3%A9%22%7D").payload == '{"a": "é"}'.encode()


@pytest.mark.parametrize("body", [b"", b"other=1", b"payload=1&payload=2", b"payload=%ff", b"\xff=1", b"&a=1" * 50])
def test_any_other_form_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        json_payload("application/x-www-form-urlencoded", body)


def test_a_nul_is_refused_because_no_database_keeps_it() -> None:
    with pytest.raises(InboxError, match="a delivery's header holds a NUL"):
        NewDelivery("github", "1\0", "push", "", {}, b"", "")


def test_an_address_says_itself_how_long_to_wait_or_gets_a_short_time() -> None:
    assert lively("sqlite:////srv/inbox.db") == "sqlite:////srv/inbox.db"
    made = lively("postgresql://me:word@host/db?connect_timeout=9")
    assert made.startswith("postgresql://me:word@host/db?")
    assert "connect_timeout=9" in made
    assert "tcp_user_timeout=10000" in made
