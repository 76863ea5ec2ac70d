"""Workers that are forked before there is a run for them, and wait for their first."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
import traceback
from dataclasses import dataclass

from maestro.server.home import ServerHome
from maestro_defs.warm.body import Body, Preparation
from maestro_defs.warm.child import print_to
from maestro_defs.warm.forks import Forked, first_places, fork_worker
from maestro_defs.warm.records import run_log
from maestro_defs.warm.worker import Assignment

QUIET_SECONDS = 0.3
"""How long nothing must be asked before a spare worker is made: a run that has just begun needs the processor."""


@dataclass(frozen=True, slots=True)
class Spare:
    """A worker that waits for its first run."""

    pid: int
    control: socket.socket

    def give(self, assignment: Assignment) -> Forked | None:
        """Has it begin the run; None when it does not, and then it is killed."""
        asked = json.dumps({"run_id": assignment.run_id, "resume": assignment.resume})
        with contextlib.suppress(OSError):
            self.control.send(asked.encode())
        free = first_places(self.control)
        if free is not None:
            return Forked(self.pid, self.control, free, {assignment.run_id})
        # It must not begin the run after all, once another worker has it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.control.close()
        return None


class Spares:
    """Those of one server.

    Args:
        prepare: makes a worker ready before it has a run; without it there are none.
    """

    def __init__(self, home: ServerHome, body: Body, prepare: Preparation | None) -> None:
        self._home = home
        self._body = body
        self._prepare = prepare
        self._wanted = home.settings.launcher.spare_workers if prepare is not None else 0
        self._waiting: list[Spare] = []
        self._next_at = 0.0

    @property
    def missing(self) -> bool:
        """Whether there are fewer than are wanted."""
        return len(self._waiting) < self._wanted

    def keep(self) -> None:
        """Makes one that is missing, in a quiet moment; one that died at once is not followed by another at once."""
        if not self.missing or time.monotonic() < self._next_at:
            return
        self.rest()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log = self._home.logs / "spare-worker.log"
        self._waiting.append(Spare(fork_worker(self._home, self._body, log, theirs, lambda: self._first(theirs)), ours))

    def rest(self) -> None:
        """A run has just begun: none is made for a moment."""
        self._next_at = time.monotonic() + QUIET_SECONDS

    def take(self) -> Spare | None:
        """One that is to have a run."""
        return self._waiting.pop() if self._waiting else None

    def forget(self, pid: int) -> None:
        """This worker is dead."""
        self._waiting = [spare for spare in self._waiting if spare.pid != pid]

    def dismiss(self) -> None:
        """There is no run for them any more; no further one is made."""
        self._wanted = 0
        for spare in self._waiting:
            spare.control.close()  # It ends when nobody can give it a run any more.
        self._waiting = []

    def _first(self, control: socket.socket) -> Assignment | None:
        """In the fork: gets ready, and waits for the run it is given; None when nobody gives it one."""
        assert self._prepare is not None
        try:
            self._prepare(self._home)
        except Exception:  # noqa: BLE001 - the run itself says what is wrong, in its own log
            traceback.print_exc()
        said = control.recv(4096)
        if not said:
            return None
        asked = json.loads(said)
        print_to(run_log(self._home, asked["run_id"]))
        return Assignment(asked["run_id"], asked["resume"])
