"""How launcher, warm server and workers talk."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from maestro_defs.warm import wire


@contextmanager
def echo(path: Path, answer: dict[str, Any] | bytes) -> Iterator[list[dict[str, Any]]]:
    """Answers one question; what was asked."""
    asked: list[dict[str, Any]] = []
    listener = wire.listen(path)
    listener.setblocking(True)

    def serve() -> None:
        connection = wire.accept(listener)
        assert connection is not None
        asked.append(wire.receive(connection, 60))
        if isinstance(answer, bytes):
            connection.sendall(answer)
            connection.close()
        else:
            wire.answer(connection, answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield asked
    thread.join()
    listener.close()


def test_a_question_is_answered(tmp_path: Path) -> None:
    with echo(tmp_path / "s", {"ok": True}) as asked:
        assert wire.ask(tmp_path / "s", {"op": "state"}, 60) == {"ok": True}
    assert asked[0]["op"] == "state"


def test_a_question_says_until_when_it_is_worth_anything(tmp_path: Path) -> None:
    with echo(tmp_path / "s", {"ok": True}) as asked:
        wire.ask(tmp_path / "s", {"op": "launch"}, 60)
    assert not wire.expired(asked[0])
    assert wire.expired({"until": time.monotonic() - 1})
    assert wire.expired({})


def test_where_nobody_listens_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(wire.NoAnswerError, match="no answer at s: nobody listens"):
        wire.ask(tmp_path / "s", {"op": "state"}, 1)
    wire.listen(tmp_path / "s").close()
    with pytest.raises(wire.NoAnswerError, match="nobody listens"):
        wire.ask(tmp_path / "s", {"op": "state"}, 1)


def test_who_does_not_answer_in_time_is_given_up(tmp_path: Path) -> None:
    listener = wire.listen(tmp_path / "s")
    with pytest.raises(wire.NoAnswerError, match="timed out"):
        wire.ask(tmp_path / "s", {"op": "state"}, 0.05)
    listener.close()


@pytest.mark.parametrize("said", [b"what\n", b"[]\n", b"\xff\n", b'{"ok": true}'])
def test_what_is_no_message_is_no_answer(tmp_path: Path, said: bytes) -> None:
    with echo(tmp_path / "s", said), pytest.raises(wire.NoAnswerError, match="no answer at s"):
        wire.ask(tmp_path / "s", {"op": "state"}, 60)


def test_a_message_without_an_end_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def much() -> None:
            with suppress(OSError):  # Nobody takes all of it.
                theirs.sendall(b"x" * (2 << 20))

        sender = threading.Thread(target=much)
        sender.start()
        with pytest.raises(ValueError, match="too long"):
            wire.receive(ours, 60)
        ours.close()
        sender.join()


def test_the_socket_is_its_users_alone(tmp_path: Path) -> None:
    listener = wire.listen(tmp_path / "s")
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0
    listener.close()


def test_who_asks_for_nothing_is_passed_over(tmp_path: Path) -> None:
    listener = wire.listen(tmp_path / "s")
    assert wire.accept(listener) is None
    listener.close()
