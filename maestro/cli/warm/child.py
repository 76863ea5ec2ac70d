"""A fork of the warm process: takes the place of the process that asked, carries out its command, and ends."""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

from maestro_defs.warm import wire
from maestro_defs.warm.child import close_others

_SECONDS = 5.0
_STREAMS = ("stdin", "stdout", "stderr")


def live(connection: socket.socket, identity: Sequence[str]) -> NoReturn:
    """The fork's whole life. Nothing is done before the other side knows that it will be, and from then on waits."""
    try:
        os.setpgid(0, 0)
        close_others({connection.fileno()})
        connection.settimeout(_SECONDS)
        wire.send(connection, {"hello": os.getpid()})
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 4, socket.MSG_CMSG_CLOEXEC)
        request = wire.receive(connection, _SECONDS)
        if list(identity) != request["identity"] or len(descriptors) != 4:
            wire.send(connection, {"refused": "another kind of process"})
            os._exit(0)
        _take_over(request, descriptors)
        wire.send(connection, {"pid": os.getpid()})
        if not connection.recv(1):
            os._exit(0)
    except (OSError, ValueError, KeyError, TypeError):
        os._exit(1)
    connection.settimeout(None)
    threading.Thread(target=_die_with, args=(connection,), name="client", daemon=True).start()
    from maestro.cli.main import carry_out_command

    carry_out_command(request["argv"][1:], lambda code: _tell(connection, code))


def _take_over(request: dict[str, Any], descriptors: Sequence[int]) -> None:
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.fchdir(descriptors[3])
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.umask(request["umask"])
    for number, soft in request["limits"]:
        resource.setrlimit(number, (soft, resource.getrlimit(number)[1]))
    for name, (encoding, errors, unbuffered) in zip(_STREAMS, request["streams"], strict=True):
        setattr(sys, name, _stream(name, encoding, errors, unbuffered=unbuffered))
    sys.argv = list(request["argv"])
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_DFL)
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    time.tzset()
    random.seed()
    tempfile.tempdir = None


def _stream(name: str, encoding: str, errors: str, *, unbuffered: bool) -> TextIO:
    """As Python makes it at its start; what this process had was made for other files."""
    number = _STREAMS.index(name)
    if name == "stdin":
        return open(number, encoding=encoding, errors=errors, closefd=False)
    raw: Any = open(number, "wb", buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115 - as above
    at_once = name == "stderr" or os.isatty(number)
    return io.TextIOWrapper(raw, encoding, errors, "\n", line_buffering=at_once, write_through=unbuffered)


def _die_with(connection: socket.socket) -> None:
    """Ends with whom it stands for, as a ``maestro run`` that is killed does; the guard then ends the steps."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def _tell(connection: socket.socket, code: int) -> None:
    with contextlib.suppress(OSError):
        wire.send(connection, {"code": code})
