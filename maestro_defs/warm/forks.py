"""Forks workers of the warm server, and hears from them how many places they have free."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from maestro.server.home import ServerHome
from maestro_defs.warm.body import Body
from maestro_defs.warm.child import become_worker
from maestro_defs.warm.preload import check_single
from maestro_defs.warm.worker import Assignment, Worker

_START_SECONDS = 10.0


@dataclass(eq=False)
class Forked:
    """A worker this server has forked. ``control``: it says here how many places it has; None once it has hung up."""

    pid: int
    control: socket.socket | None
    free: int = 0
    runs: set[str] = field(default_factory=set)

    def hear(self) -> None:
        """Takes what it says now."""
        if self.control is None:
            return
        try:
            said = self.control.recv(4096)
        except OSError:
            said = b""
        if said:
            self.free = _places(said)
        else:
            self.hang_up()

    def hang_up(self) -> None:
        """Nothing more is heard of it, and it gets no further run."""
        if self.control is not None:
            self.control.close()
        self.control, self.free = None, 0


def fork_worker(
    home: ServerHome, body: Body, log: Path, control: socket.socket, first: Callable[[], Assignment | None]
) -> int:
    """Forks a worker that carries out a run, and others it is given meanwhile; its process id.

    Args:
        log: where it prints to.
        control: its end of the connection to this server, which is closed here.
        first: called in the fork; None: there is no run, and the worker ends.

    Raises:
        MaestroError: this process has threads.
    """
    check_single()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            become_worker(home, log, {control.fileno()})
            assignment = first()
            code = 0 if assignment is None else _work(home, body, control, assignment)
        except BaseException:  # noqa: BLE001 - a fork of the server must never go on as the server
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    control.close()
    return pid


def first_places(control: socket.socket) -> int | None:
    """The places a worker has free once it has begun its first run; None when it does not begin it in time."""
    try:
        control.settimeout(_START_SECONDS)
        said = control.recv(4096)
        control.setblocking(False)
    except OSError:
        return None
    return _places(said) if said else None


def _places(said: bytes) -> int:
    return int(said.split()[-1])


def _work(home: ServerHome, body: Body, control: socket.socket, assignment: Assignment) -> int:
    """In the fork: its whole life."""
    control.setblocking(False)
    places = home.settings.launcher.runs_per_worker

    def tell(free: int) -> None:
        control.send(b"%d\n" % free)

    return Worker(home, body, places, tell).run(assignment, lambda: tell(places - 1))
