"""The warm server: forks a worker for each run, or gives the run to one that has a place free, and reaps them.

One thread, since nothing else survives a fork. Runs do not depend on it: killed, it leaves its workers as they are, and
the next one finds them in the records. What takes a moment is done while others wait in the socket's queue.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from maestro.errors import MaestroError
from maestro.server.home import ServerHome
from maestro_defs.warm import wire
from maestro_defs.warm.body import Body, Preparation
from maestro_defs.warm.changes import Stamps, changed, stamp_of, stamps
from maestro_defs.warm.forks import Forked, first_places, fork_worker
from maestro_defs.warm.processes import ProcessName, boot_id
from maestro_defs.warm.records import Records, checked, run_log, worker_socket
from maestro_defs.warm.spares import QUIET_SECONDS, Spares
from maestro_defs.warm.worker import LEFT, Assignment

_log = logging.getLogger("maestro.warm")
_LOOK_SECONDS = 1.0
_SETTLE_SECONDS = 0.5
"""Files that were changed a moment ago may not be all of a change."""
_CUT_OFF_SECONDS = 10.0
"""After its time to leave, a worker that is still there is killed."""
_PRUNE_SECONDS = 3600.0
_HANDED_OVER = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class _Doomed:
    process: ProcessName
    at: float


class WarmServer:
    """Serves launches until it is told to stop.

    Args:
        listener: the socket at which it is asked.
        drain_seconds: what running runs are given to finish after SIGTERM.
        refusal: why it could not start anew, with what has changed; None when it could.
        prepare: makes a worker ready before it has a run; without it there are no spare ones.
    """

    def __init__(
        self,
        home: ServerHome,
        body: Body,
        listener: socket.socket,
        drain_seconds: float,
        refusal: Callable[[], str | None],
        prepare: Preparation | None = None,
    ) -> None:
        self._spares = Spares(home, body, prepare)
        self._refusal = refusal
        self._home = home
        self._body = body
        self._listener = listener
        self._drain_seconds = drain_seconds
        self._leave_seconds = home.settings.launcher.leave_seconds
        self._records = Records(home)
        self._forked: dict[int, Forked] = {}
        self._doomed: list[_Doomed] = []
        self._stamps: Stamps = stamps(home)
        self._drain_until: float | None = None
        self._told_to_leave = False
        self._reload = False
        self._pruned = 0.0
        self._wakeup, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        # What came while this process took the place of another one of the same id is taken now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDED_OVER)

    def serve(self) -> bool:
        """Until it is to stop; True when it is to start anew in its place, with what has changed."""
        self._reap()
        while True:
            ready = self._wait()
            if self._wakeup in ready:
                self._take_signals()
            self._hear_workers(ready)
            if self._drain_until is not None and self._drained():
                return False
            if self._drain_until is None and (self._reload or self._outdated()) and self._can_hand_over():
                return True
            if self._listener.fileno() in ready and (connection := wire.accept(self._listener)):
                self._serve(connection)
            elif not ready:
                self._spares.keep()
            self._keep_deadlines()

    def _wait(self) -> set[int]:
        poll = select.poll()
        for descriptor in (self._wakeup, self._listener.fileno()):
            poll.register(descriptor, select.POLLIN)
        for forked in self._forked.values():
            if forked.control is not None:
                poll.register(forked.control, select.POLLIN)
        patience = QUIET_SECONDS if self._spares.missing else _LOOK_SECONDS
        if self._drain_until is not None and not self._told_to_leave:
            patience = min(patience, max(0.0, self._drain_until - time.monotonic()))
        return {descriptor for descriptor, _ in poll.poll(1000 * patience)}

    def _take_signals(self) -> None:
        for number in os.read(self._wakeup, 4096):
            if number == signal.SIGHUP:
                self._reload = True
            elif number in (signal.SIGTERM, signal.SIGINT):
                now = time.monotonic()
                # The second time somebody is in a hurry.
                self._drain_until = now + self._drain_seconds if self._drain_until is None else now
                _log.info("stopping: no run is started any more")
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self._died(pid, os.waitstatus_to_exitcode(status))

    def _died(self, pid: int, code: int) -> None:
        self._spares.forget(pid)
        forked = self._forked.pop(pid, None)
        if forked is not None:
            forked.hang_up()
        if code in (0, LEFT):
            return
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        runs = forked.runs if forked else {one.run_id for one in self._records.all() if one.process.pid == pid}
        for run_id in runs:
            record = self._records.get(run_id)
            if record is not None and record.process.pid == pid:
                self._records.settle(run_id, record.process, "died", f"its worker was {reason}")
        _log.warning("worker %d was %s; runs it had: %s", pid, reason, ", ".join(sorted(runs)) or "none")

    def _hear_workers(self, ready: set[int]) -> None:
        for forked in self._forked.values():
            if forked.control is not None and forked.control.fileno() in ready:
                forked.hear()

    def _outdated(self) -> bool:
        files = changed(self._stamps)
        if not files:
            return False
        newest = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
        if abs(time.time() - newest) < _SETTLE_SECONDS:
            time.sleep(_SETTLE_SECONDS)
        _log.info("%s changed: starting anew", ", ".join(str(file) for file in files[:3]))
        return True

    def _can_hand_over(self) -> bool:
        return self._can_start_anew() and self._leave_signals()

    def _can_start_anew(self) -> bool:
        """Half of a new version must not be the end of a server that works: it then goes on as it is."""
        self._reload = False
        before = {file: stamp_of(file) for file in self._stamps}
        problem = self._refusal()
        if problem is not None:
            self._stamps = before
            _log.error("not started anew, the old code goes on until something changes again: %s", problem)
        return problem is None

    def _leave_signals(self) -> bool:
        """Leaves signals from here on to the process that takes this one's place; False: told to stop already."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDED_OVER)
        if select.select([self._wakeup], [], [], 0)[0]:
            self._take_signals()
        if self._drain_until is None:
            return True
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDED_OVER)
        return False

    def _serve(self, connection: socket.socket) -> None:
        try:
            message = wire.receive(connection, 1.0)
            reply = self._answer(message)
        except MaestroError as error:
            reply = {"ok": False, "error": "refused", "message": str(error)}
        except (OSError, ValueError, KeyError):
            connection.close()
            return
        wire.answer(connection, reply)

    def _answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        what = message["op"]
        if what == "launch":
            return self._launch(Assignment(checked(message["run_id"]), bool(message.get("resume"))), message)
        if what == "kill":
            process = ProcessName(int(message["pid"]), int(message["started"]), boot_id())
            self._doomed.append(_Doomed(process, time.monotonic() + float(message["seconds"])))
            return {"ok": True}
        if what == "state":
            workers = [{"pid": one.pid, "runs": len(one.runs), "free": one.free} for one in self._forked.values()]
            return {"ok": True, "pid": os.getpid(), "draining": self._drain_until is not None, "workers": workers}
        return {"ok": False, "error": "refused", "message": f"cannot {what}"}

    def _launch(self, assignment: Assignment, message: Mapping[str, Any]) -> dict[str, Any]:
        with self._records.launching():
            record = self._records.get(assignment.run_id)
            if record is not None and record.going_on:
                return {"ok": True, "pid": record.process.pid, "again": True}
            if self._drain_until is not None:
                return {"ok": False, "error": "draining"}
            if wire.expired(message):
                return {"ok": False, "error": "late"}
            return self._hand_over(assignment) or self._give_to_spare(assignment) or self._fork(assignment)

    def _hand_over(self, assignment: Assignment) -> dict[str, Any] | None:
        """Gives the run to a worker with a free place; None when there is none."""
        for forked in self._forked.values():
            if forked.free <= 0:
                continue
            record = next((one for run_id in forked.runs if (one := self._records.get(run_id))), None)
            if record is None:
                continue
            request = {"op": "run", "run_id": assignment.run_id, "resume": assignment.resume}
            with contextlib.suppress(wire.NoAnswerError):
                if wire.ask(worker_socket(self._home, record.process), request, 5.0)["ok"]:
                    forked.runs.add(assignment.run_id)
                    forked.free -= 1
                    self._link_log(assignment.run_id, record.run_id)
                    return {"ok": True, "pid": forked.pid}
            forked.free = 0
        return None

    def _give_to_spare(self, assignment: Assignment) -> dict[str, Any] | None:
        """Gives the run to a worker that waits for one; None when there is none."""
        while (spare := self._spares.take()) is not None:
            forked = spare.give(assignment)
            if forked is not None:
                self._forked[spare.pid] = forked
                self._spares.rest()
                return {"ok": True, "pid": spare.pid}
            self._reap()
            record = self._records.get(assignment.run_id)
            if record is not None and record.process.pid == spare.pid:
                self._records.settle(assignment.run_id, record.process, "died", "its worker did not begin")
        return None

    def _link_log(self, run_id: str, first: str) -> None:
        log = run_log(self._home, run_id)
        log.unlink(missing_ok=True)
        log.symlink_to(run_log(self._home, first).resolve())

    def _fork(self, assignment: Assignment) -> dict[str, Any]:
        ours, theirs = socket.socketpair()
        log = run_log(self._home, assignment.run_id)
        pid = fork_worker(self._home, self._body, log, theirs, lambda: assignment)
        forked = self._forked[pid] = Forked(pid, ours, runs={assignment.run_id})
        free = first_places(ours)
        if free is None:
            os.kill(pid, signal.SIGKILL)
            raise MaestroError(f"a worker for run {assignment.run_id} does not start", next_step=f"read {log}")
        forked.free = free
        return {"ok": True, "pid": pid}

    def _drained(self) -> bool:
        self._spares.dismiss()
        going_on = [record for record in self._records.all() if record.going_on]
        if not going_on:
            return True
        assert self._drain_until is not None
        if time.monotonic() >= self._drain_until:
            for process in {record.process for record in going_on}:
                if not self._told_to_leave:
                    self._tell_to_leave(process)
            self._told_to_leave = True
        return False

    def _tell_to_leave(self, process: ProcessName) -> None:
        try:
            wire.ask(worker_socket(self._home, process), {"op": "leave", "seconds": self._leave_seconds}, 5.0)
        except wire.NoAnswerError:
            process.signal(signal.SIGTERM)
        self._doomed.append(_Doomed(process, time.monotonic() + self._leave_seconds + _CUT_OFF_SECONDS))

    def _keep_deadlines(self) -> None:
        now = time.monotonic()
        for doomed in [one for one in self._doomed if one.at <= now]:
            self._doomed.remove(doomed)
            if doomed.process.signal(signal.SIGKILL):
                _log.warning("worker %d did not end and was killed", doomed.process.pid)
        if now - self._pruned > _PRUNE_SECONDS:
            self._pruned = now
            self._records.prune()
