"""Programs that run beside a command: each in a session of its own, stopped with all it has started, ended with it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import InputError

LONGEST_SOCKET = 107
"""Bytes the path of a Unix socket may have."""
_TRIED_PORTS = 100
_ANSWER_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Started:
    """A program that was started.

    Args:
        log: what it writes.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.process.poll()


def start(
    name: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path | str,
    log: Path,
    append: bool = False,
) -> Started:
    """Starts ``python ARGUMENTS`` in ``folder``; call it from the main thread, with which the program ends.

    Args:
        environment: all of it.
        append: whether the log goes on where it ended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab" if append else "wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            # A group of its own: Ctrl-C reaches Maestro alone, which then stops each group, grandchildren included.
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    return Started(name, process, log)


def _die_with_parent() -> None:
    """Asks Linux to end this process when Maestro is killed without a chance to stop it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def stop(programs: Sequence[Started], seconds: float) -> None:
    """Stops ``programs`` at once, and kills the groups of all of them after ``seconds``."""
    for program in programs:
        signal_group(program, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    for program in programs:
        try:
            program.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue  # Its whole group is killed below.
    for program in programs:
        kill(program)


def kill(program: Started) -> None:
    """Kills what is left of the program's group."""
    signal_group(program, signal.SIGKILL)
    program.process.wait()


def signal_group(program: Started, number: signal.Signals) -> None:
    """Sends a signal to the program and what it has started, unless all of that is gone."""
    try:
        os.killpg(program.process.pid, number)
    except ProcessLookupError:
        return


def answers(url: str, seconds: float = _ANSWER_SECONDS) -> bool:
    """Whether a GET of ``url`` is answered with 200."""
    import http.client
    import urllib.error
    import urllib.request

    try:
        # The machine's own proxy has nothing to do with it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, http.client.HTTPException):
        return False


def socket_answers(path: Path) -> bool:
    """Whether something takes connections at the Unix socket ``path``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def reachable(host: str) -> str:
    """The address at which this machine reaches what listens on ``host``, as it stands in a URL."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1" if host != "::" else "[::1]"
    return f"[{host}]" if ":" in host else host


def check_port(host: str, port: int, advice: str, otherwise: str) -> None:
    """Makes sure ``port`` can be had.

    Args:
        advice: what to do when another is free; ``{port}`` is that one. otherwise: when none is.

    Raises:
        InputError: it cannot.
    """
    if _is_free(host, port):
        return
    free = next((one for one in range(port + 1, min(65536, port + _TRIED_PORTS)) if _is_free(host, one)), None)
    raise InputError(
        f"port {port} of {host} is taken or not allowed",
        next_step=advice.format(port=free) if free else otherwise,
    )


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def last_line(log: Path) -> str:
    """The last line a program has written."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"
