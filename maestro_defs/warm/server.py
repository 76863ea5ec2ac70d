"""The warm server: forks a worker for each run, or gives the run to one that has a place free, and reaps them.

One thread, since nothing else survives a fork. Runs do not depend on it: killed, it leaves its workers as they are, and
the next one finds them in the records. What takes a moment is done while others wait in the socket's queue.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from maestro.errors import MaestroError
from maestro.server.home import ServerHome
from maestro_defs.warm import wire
from maestro_defs.warm.body import Body, Preparation
from maestro_defs.warm.changes import Stamps, changed, stamp_of, stamps
from maestro_defs.warm.child import become_worker, print_to
from maestro_defs.warm.preload import check_single
from maestro_defs.warm.processes import ProcessName, boot_id
from maestro_defs.warm.records import Records, checked, run_log, worker_socket
from maestro_defs.warm.worker import LEFT, Assignment, Worker

_log = logging.getLogger("maestro.warm")
_START_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_SETTLE_SECONDS = 0.5
"""Files that were changed a moment ago may not be all of a change."""
_CUT_OFF_SECONDS = 10.0
"""After its time to leave, a worker that is still there is killed."""
_PRUNE_SECONDS = 3600.0
_SPARE_SECONDS = 0.3
"""How long nothing must be asked before a spare worker is made: a run that has just begun needs the processor."""


@dataclass(eq=False)
class _Forked:
    """A worker this server has forked. ``control``: it says here how many places it has; None once it has hung up."""

    pid: int
    control: socket.socket | None
    free: int = 0
    runs: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Spare:
    """A worker that waits for its first run."""

    pid: int
    control: socket.socket


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
        self._prepare = prepare
        self._spares: list[_Spare] = []
        self._spare_at = 0.0
        self._refusal = refusal
        self._home = home
        self._body = body
        self._listener = listener
        self._drain_seconds = drain_seconds
        self._leave_seconds = home.settings.launcher.leave_seconds
        self._places = home.settings.launcher.runs_per_worker
        self._records = Records(home)
        self._forked: dict[int, _Forked] = {}
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
            if self._drain_until is None and (self._reload or self._outdated()) and self._can_start_anew():
                return True
            if self._listener.fileno() in ready and (connection := wire.accept(self._listener)):
                self._serve(connection)
            elif not ready:
                self._keep_spares()
            self._keep_deadlines()

    def _wait(self) -> set[int]:
        poll = select.poll()
        for descriptor in (self._wakeup, self._listener.fileno()):
            poll.register(descriptor, select.POLLIN)
        for forked in self._forked.values():
            if forked.control is not None:
                poll.register(forked.control, select.POLLIN)
        patience = _SPARE_SECONDS if self._spares_wanted() else _LOOK_SECONDS
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
        self._spares = [spare for spare in self._spares if spare.pid != pid]
        forked = self._forked.pop(pid, None)
        if forked is not None and forked.control is not None:
            forked.control.close()
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
                try:
                    said = forked.control.recv(4096)
                except OSError:
                    said = b""
                if said:
                    forked.free = int(said.split()[-1])
                else:
                    forked.control.close()
                    forked.control, forked.free = None, 0

    def _outdated(self) -> bool:
        files = changed(self._stamps)
        if not files:
            return False
        newest = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
        if abs(time.time() - newest) < _SETTLE_SECONDS:
            time.sleep(_SETTLE_SECONDS)
        _log.info("%s changed: starting anew", ", ".join(str(file) for file in files[:3]))
        return True

    def _can_start_anew(self) -> bool:
        """Half of a new version must not be the end of a server that works: it then goes on as it is."""
        self._reload = False
        before = {file: stamp_of(file) for file in self._stamps}
        problem = self._refusal()
        if problem is not None:
            self._stamps = before
            _log.error("not started anew, the old code goes on until something changes again: %s", problem)
        return problem is None

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

    def _spares_wanted(self) -> int:
        if self._prepare is None or self._drain_until is not None:
            return 0
        return self._home.settings.launcher.spare_workers - len(self._spares)

    def _keep_spares(self) -> None:
        """In a quiet moment; one that died at once is not followed by another at once."""
        if self._spares_wanted() <= 0 or time.monotonic() < self._spare_at:
            return
        self._spare_at = time.monotonic() + _SPARE_SECONDS
        check_single()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log = self._home.logs / "spare-worker.log"
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                become_worker(self._home, log, {theirs.fileno()})
                code = self._wait_for_run(theirs)
            except BaseException:  # noqa: BLE001 - a fork of the server must never go on as the server
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        theirs.close()
        self._spares.append(_Spare(pid, ours))

    def _wait_for_run(self, control: socket.socket) -> int:
        """In the fork: gets ready, and then is the worker of the run it is given; nothing when nobody gives it one."""
        assert self._prepare is not None
        try:
            self._prepare(self._home)
        except Exception:  # noqa: BLE001 - the run itself says what is wrong, in its own log
            traceback.print_exc()
        said = control.recv(4096)
        if not said:
            return 0
        asked = json.loads(said)
        print_to(run_log(self._home, asked["run_id"]))
        return self._work(Assignment(asked["run_id"], asked["resume"]), control)

    def _give_to_spare(self, assignment: Assignment) -> dict[str, Any] | None:
        """Gives the run to a worker that waits for one; None when there is none."""
        while self._spares:
            spare = self._spares.pop()
            asked = json.dumps({"run_id": assignment.run_id, "resume": assignment.resume})
            try:
                spare.control.settimeout(_START_SECONDS)
                spare.control.send(asked.encode())
                said = spare.control.recv(4096)
            except OSError:
                said = b""
            if said:
                spare.control.setblocking(False)
                free = int(said.split()[-1])
                self._forked[spare.pid] = _Forked(spare.pid, spare.control, free, {assignment.run_id})
                self._spare_at = time.monotonic() + _SPARE_SECONDS
                return {"ok": True, "pid": spare.pid}
            # It must not begin the run after all, once another worker has it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(spare.pid, signal.SIGKILL)
            spare.control.close()
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
        check_single()
        ours, theirs = socket.socketpair()
        log = run_log(self._home, assignment.run_id)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                become_worker(self._home, log, {theirs.fileno()})
                code = self._work(assignment, theirs)
            except BaseException:  # noqa: BLE001 - a fork of the server must never go on as the server
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        theirs.close()
        forked = _Forked(pid, ours, runs={assignment.run_id})
        self._forked[pid] = forked
        try:
            ours.settimeout(_START_SECONDS)
            said = ours.recv(4096)
            ours.setblocking(False)
        except OSError:
            said = b""
        if not said:
            os.kill(pid, signal.SIGKILL)
            raise MaestroError(f"a worker for run {assignment.run_id} does not start", next_step=f"read {log}")
        forked.free = int(said.split()[-1])
        return {"ok": True, "pid": pid}

    def _work(self, assignment: Assignment, control: socket.socket) -> int:
        """In the fork: its whole life."""
        control.setblocking(False)

        def tell(free: int) -> None:
            control.send(b"%d\n" % free)

        worker = Worker(self._home, self._body, self._places, tell)
        return worker.run(assignment, lambda: tell(self._places - 1))

    def _dismiss_spares(self) -> None:
        for spare in self._spares:
            spare.control.close()  # It ends when nobody can give it a run any more.
        self._spares = []

    def _drained(self) -> bool:
        self._dismiss_spares()
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
