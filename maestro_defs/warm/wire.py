"""How launcher, warm server and workers talk: one line of JSON each way over a Unix socket, for this user alone."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maestro.errors import MaestroError

_LONGEST = 1 << 20
_BACKLOG = 1024


class NoAnswerError(MaestroError):
    """Nobody listens there, or no answer came in time."""


def listen(path: Path) -> socket.socket:
    """A socket at ``path`` that only this user can connect to; what was there is replaced."""
    temporary = path.with_name(f".{os.getpid()}")
    temporary.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # The socket is never there with other permissions.
    try:
        listener.bind(str(temporary))
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    temporary.rename(path)
    return listener


def accept(listener: socket.socket) -> socket.socket | None:
    """The next connection of this user (or root); None when there is none, or when it is somebody else's."""
    try:
        connection, _ = listener.accept()
    except OSError:
        return None
    size = struct.calcsize("3i")
    _pid, user, _group = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if user not in (os.getuid(), 0):
        connection.close()
        return None
    return connection


def receive(connection: socket.socket, seconds: float) -> dict[str, Any]:
    """One message.

    Raises:
        OSError: the other side hung up or took longer; ValueError: what came is no message.
    """
    deadline = time.monotonic() + seconds
    data = b""
    while not data.endswith(b"\n"):
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        part = connection.recv(65536)
        if not part:
            raise ConnectionResetError("hung up")
        data += part
        if len(data) > _LONGEST:
            raise ValueError("too long")
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError("not an object")
    return message


def send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    """Sends one message; raises OSError."""
    connection.sendall(json.dumps(message).encode() + b"\n")


def answer(connection: socket.socket, message: Mapping[str, Any]) -> None:
    """Sends one message to whoever may have gone meanwhile, and hangs up."""
    with contextlib.suppress(OSError), connection:
        send(connection, message)


def ask(path: Path, message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """What the program that listens at ``path`` answers.

    The message carries until when it is worth anything (``CLOCK_MONOTONIC``, which processes of one machine share), so
    nobody acts on it after this has given up.

    Raises:
        NoAnswerError: none within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            send(connection, {**message, "until": deadline})
            return receive(connection, deadline - time.monotonic())
    except (OSError, ValueError) as error:
        reason = "nobody listens" if isinstance(error, FileNotFoundError | ConnectionRefusedError) else str(error)
        raise NoAnswerError(f"no answer at {path.name}: {reason}") from error


def expired(message: Mapping[str, Any]) -> bool:
    """Whether who asked has given up."""
    return time.monotonic() > float(message.get("until", 0.0))
