"""The worker's end of the guard: starting it, and handing it one process after another."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maestro.errors import MaestroError
from maestro.process import guard as guard_program


class GuardConnection:
    """A running guard. Not thread safe; ProcessRunner holds a lock around it.

    Raises:
        MaestroError: this is not Linux, or the guard cannot be started.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise MaestroError(
                f"steps run on Linux only (subreaper and parent-death signal are Linux's), this is {sys.platform}",
                next_step="run Maestro on Linux, in a container or a virtual machine",
            )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", guard_program.__file__, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    # A Ctrl-C in the terminal is for the worker.
                    start_new_session=True,
                    cwd="/",
                    # Some builds of Python need it; the guard hands nothing of its environment on.
                    env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
                )
            except OSError as error:
                ours.close()
                raise MaestroError(f"the process guard cannot be started: {error}") from error
        self._socket = ours

    @property
    def pid(self) -> int:
        """Process id of the guard."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False when the guard has ended."""
        return self._process.poll() is None

    def open(self, stdout: int, stderr: int) -> socket.socket:
        """A socket to a new warden, which writes to these descriptors; raises OSError when the guard is gone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                socket.send_fds(self._socket, [b"x"], [theirs.fileno(), stdout, stderr])
            except OSError:
                ours.close()
                raise
        return ours

    def close(self) -> None:
        """Hang up, which ends the guard and everything below it, and wait for that."""
        self._socket.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def encode_request(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> bytes:
    """The first message on a warden's socket; bytes travel as Latin-1, whatever the locale."""
    import json

    def text(value: str) -> str:
        return os.fsencode(value).decode("latin-1")

    request: dict[str, Any] = {
        "argv": [text(word) for word in argv],
        "cwd": text(str(cwd)),
        "env": {text(name): text(value) for name, value in env.items()},
    }
    data = json.dumps(request).encode()
    return struct.pack("!Q", len(data)) + data


def sweep(marker: str) -> int:
    """Kill every process whose environment holds ``marker`` (``NAME=value``); how many.

    The last resort when guard and warden were killed together: processes may have lost their ancestors, not this.
    """
    wanted = marker.encode()
    killed = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), 9)
                killed += 1
    return killed
