"""A run worker: its main thread listens for what is asked and minds the runs, each of which has a thread of its own.

It ends when it has no run left. A crash takes all of its runs with it. It takes signals for its runs as follows:
SIGTERM and SIGHUP leave them (whoever stops the machine wants to resume them later), SIGINT cancels them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from maestro.process.shared import guard_shared
from maestro.server.home import ServerHome
from maestro_defs.stops import RunStop, registered
from maestro_defs.warm import wire
from maestro_defs.warm.body import Body
from maestro_defs.warm.processes import this_process
from maestro_defs.warm.records import Records, WorkerRecord, worker_socket

LEFT = 75
"""Exit code of a worker that left runs to be resumed (EX_TEMPFAIL of sysexits.h)."""
LEAVE_SECONDS = 20.0
"""How long steps in progress may take when a signal says that the worker is to leave."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A run to carry out; ``resume``: another worker died with it, or left it."""

    run_id: str
    resume: bool = False


@dataclass(eq=False)
class _Hosted:
    stop: RunStop
    parked: bool = False
    ended: bool = False
    abort_at: float | None = None


class Worker:
    """Carries out up to ``places`` runs at once, and ends when there is none.

    Args:
        tell: called with how many places are free, whenever that changes; raises OSError when nobody listens any more,
            and then no further run comes.
    """

    def __init__(self, home: ServerHome, body: Body, places: int, tell: Callable[[int], None]) -> None:
        self._home = home
        self._body = body
        self._places = places
        self._tell = tell
        self._records = Records(home)
        self._process = this_process()
        self._runs: dict[str, _Hosted] = {}
        self._left = False
        self._leave_at: float | None = None
        self._changed, self._change = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        self._listener = wire.listen(worker_socket(home, self._process))

    def run(self, first: Assignment, started: Callable[[], None]) -> int:
        """Carries out ``first`` and what comes meanwhile; the exit code. ``started`` is called once it is begun."""
        with guard_shared():
            self._begin(first)
            started()
            poll = select.poll()
            for descriptor in (self._listener.fileno(), self._wakeup, self._changed):
                poll.register(descriptor, select.POLLIN)
            while any(not hosted.parked for hosted in self._runs.values()):
                ready = {descriptor for descriptor, _ in poll.poll(self._patience())}
                if self._wakeup in ready:
                    self._take_signals()
                if self._listener.fileno() in ready and (connection := wire.accept(self._listener)):
                    self._serve(connection)
                if self._changed in ready:
                    os.read(self._changed, 4096)
                    self._look_after_ended()
                self._keep_deadlines()
            self._look_after_ended()
            self._finish()
        return LEFT if self._left else 0

    def _begin(self, assignment: Assignment) -> None:
        hosted = _Hosted(RunStop(lambda: self._parked(assignment.run_id)))
        thread = threading.Thread(target=self._carry_out, args=(assignment, hosted.stop), name="run", daemon=True)
        self._runs[assignment.run_id] = hosted
        self._records.put(WorkerRecord(assignment.run_id, os.uname().nodename, self._process, alone=self._places == 1))
        thread.start()

    def _carry_out(self, assignment: Assignment, stop: RunStop) -> None:
        try:
            with registered(assignment.run_id, stop):
                self._body(assignment.run_id, self._home, stop, resume=assignment.resume)
        except BaseException:  # noqa: BLE001 - it must not take other runs with it; what it says is in the log
            traceback.print_exc()
        finally:
            # The thread itself lives a moment longer, so it is no thread that is waited for.
            self._runs[assignment.run_id].ended = True
            self._poke()

    def _parked(self, run_id: str) -> None:
        self._runs[run_id].parked = True
        self._poke()

    def _poke(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._change, b"!")

    def _look_after_ended(self) -> None:
        for run_id, hosted in list(self._runs.items()):
            if hosted.parked:
                self._records.settle(run_id, self._process, "left", "left to be resumed")
                self._left = True
            elif hosted.ended:
                self._records.settle(run_id, self._process, "ended")
                del self._runs[run_id]
        self._say_free()

    def _say_free(self) -> None:
        try:
            self._tell(0 if self._leave_at else self._places - len(self._runs))
        except OSError:
            self._places = 0

    def _serve(self, connection: socket.socket) -> None:
        try:
            message = wire.receive(connection, 1.0)
            reply = self._answer(message)
        except (OSError, ValueError, KeyError):
            connection.close()
            return
        wire.answer(connection, reply)

    def _answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        if wire.expired(message):
            return {"ok": False, "error": "late"}
        what, run_id = message["op"], message.get("run_id")
        if what == "leave":
            self._leave(float(message["seconds"]))
        elif what == "run":
            if self._leave_at is not None or len(self._runs) >= self._places:
                return {"ok": False, "error": "full"}
            self._begin(Assignment(str(run_id), bool(message.get("resume"))))
        elif what == "stop":
            hosted = self._runs.get(str(run_id))
            if hosted is None:
                return {"ok": False, "error": "unknown"}
            hosted.stop.ask(int(message["times"]))
            if hosted.abort_at is None:
                hosted.abort_at = time.monotonic() + float(message["seconds"])
        elif what != "state":
            return {"ok": False, "error": f"cannot {what}"}
        leaving = self._leave_at is not None
        return {"ok": True, "pid": self._process.pid, "runs": sorted(self._runs), "leaving": leaving}

    def _take_signals(self) -> None:
        for number in os.read(self._wakeup, 4096):
            if number == signal.SIGINT:
                for hosted in self._runs.values():
                    hosted.stop.ask(2 if hosted.stop.is_set() else 1)
            elif number in (signal.SIGTERM, signal.SIGHUP):
                self._leave(LEAVE_SECONDS)

    def _leave(self, seconds: float) -> None:
        wanted = time.monotonic() + seconds
        self._leave_at = wanted if self._leave_at is None else min(wanted, self._leave_at)
        for hosted in self._runs.values():
            hosted.stop.leave()

    def _patience(self) -> float | None:
        """Milliseconds until the next deadline."""
        deadlines = [hosted.abort_at for hosted in self._runs.values() if hosted.abort_at is not None]
        if self._leave_at is not None:
            deadlines.append(self._leave_at)
        return 1000 * max(0.0, min(deadlines) - time.monotonic()) + 1 if deadlines else None

    def _keep_deadlines(self) -> None:
        now = time.monotonic()
        for hosted in self._runs.values():
            if hosted.abort_at is not None and now >= hosted.abort_at:
                hosted.abort_at = None
                hosted.stop.ask(2)
        if self._leave_at is not None and now >= self._leave_at:
            self._cut_off()

    def _cut_off(self) -> NoReturn:
        """Ends at once, as if killed: no thread must get to say that its step failed. The guard kills the steps."""
        for hosted in self._runs.values():
            hosted.parked = hosted.parked or not hosted.ended
        self._look_after_ended()
        self._finish()
        os._exit(LEFT)

    def _finish(self) -> None:
        self._listener.close()
        worker_socket(self._home, self._process).unlink(missing_ok=True)
