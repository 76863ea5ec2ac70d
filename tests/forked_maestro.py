"""``maestro`` carried out in a fork of a process that has other people's libraries imported, and none of Maestro's modules.

Most of a short command's time goes into importing Dagster and the like, the same for every command of every test. The
fork is a process of its own, with its own folder, environment, standard streams and exit code, and imports all of
Maestro anew. How the installed program starts is for tests that start it. Tests that start it a hundred times
have everything imported before: ``tests.e2e.forked_maestro``.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO

from tests import forking

_LIMIT_SECONDS = 300


def completed(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """``maestro ARGUMENTS``, ended, with what it wrote.

    Args:
        env: all of its environment; this process's without.
        given: what it reads on standard input.

    Raises:
        subprocess.TimeoutExpired: it takes longer than five minutes; it is killed.
    """
    command = [str(Path(sys.executable).with_name("maestro")), *arguments]
    request = {"argv": command, "cwd": str(cwd), "env": dict(os.environ if env is None else env)}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, _file() as read, _file() as out, _file() as err:
        read.write(given)
        read.seek(0)
        with theirs:
            handed = [theirs.fileno(), read.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(_server(), [json.dumps(request).encode()], handed)
        ours.settimeout(_LIMIT_SECONDS)
        pid = _number(ours)
        try:
            code = _number(ours)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(command, _LIMIT_SECONDS) from None
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), err.read())


def _file() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def _number(connection: socket.socket) -> int:
    said = connection.recv(64)
    assert said, "the process that forks maestro is gone; what it said is above"
    return int(said)


@cache
def _server() -> socket.socket:
    """A connection to the process that forks, one for each process of pytest; it ends when nobody is connected."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", forking.__name__, str(theirs.fileno())],
            cwd=Path(__file__).parents[1],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        process.wait(_LIMIT_SECONDS)

    atexit.register(end)
    return ours
