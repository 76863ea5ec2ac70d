"""Dagster's run launcher on a Maestro server: has the warm server fork a worker, and finds it again later.

Without the warm server the run gets a process of its own that imports everything first, and both the run and the log
say so. Which worker has a run stands in a file (``maestro_defs.warm.records``), so asking a run to stop, and looking
whether its worker lives, need no warm server.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import (
    CheckRunHealthResult,
    LaunchRunContext,
    ResumeRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._serdes import ConfigurableClass
from dagster._serdes.config_class import ConfigurableClassData

from maestro.errors import MaestroError
from maestro.runs.tags import PROCESS_TAG
from maestro.server.home import ServerHome, find_server
from maestro_defs.run_moves import move_run
from maestro_defs.warm import wire
from maestro_defs.warm.body import BODY
from maestro_defs.warm.records import Records, WorkerRecord, run_log, server_socket, worker_socket

_log = logging.getLogger("maestro.launcher")
LAUNCH_SECONDS = 20.0
COLD_SECONDS = 30.0
ANSWER_SECONDS = 5.0
UNANSWERED_SECONDS = 30.0
"""After which a worker that does not even answer is killed."""
KILL_SECONDS = 60.0
"""How long after its end was given up a run's own worker is killed."""
_TAIL = 4000
_TERMINATING = "Sending run termination request."
# In the order a run has them, so that one that goes on meanwhile is met all the same.
_GOING_ON = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED)


class DrainingError(MaestroError):
    """The warm server finishes what it has and takes nothing new; what is launched waits, and nothing is wrong."""


class WarmLauncher(RunLauncher[Any], ConfigurableClass):
    """Launches each run in a fork of the warm server.

    Args:
        home: the server's home; what ``MAESTRO_SERVER_HOME`` says when not given.
        cancel_seconds: what a cancelled run is given for undoing and ``finally`` steps.
        body: what carries out a run, where no warm server does; for tests.
    """

    def __init__(
        self,
        home: str | None = None,
        cancel_seconds: int = 300,
        body: str = BODY,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._inst_data = inst_data
        self._folder = home
        self._cancel_seconds = cancel_seconds
        self._body = body
        self._launched: set[str] = set()
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster's is.

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What it was made from."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """``home``: a path, or ``env``; the others have defaults."""
        return {
            "home": dg.Field(dg.StringSource, is_required=False),
            "cancel_seconds": dg.Field(dg.IntSource, is_required=False),
            "body": dg.Field(str, is_required=False),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> WarmLauncher:
        """As ``dagster.yaml`` says."""
        return cls(inst_data=inst_data, **config_value)

    @property
    def home(self) -> ServerHome:
        """The server's home, with its settings as they are now."""
        return find_server(self._folder)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Returns once a worker has the run, the same one when it is asked twice.

        Raises:
            DrainingError: the warm server is stopping, so no worker has it; MaestroError: none can be started at all.
        """
        run = context.dagster_run
        self._launched.add(run.run_id)
        if not self._start(run, resume=False):
            raise DrainingError(
                f"run {run.run_id} waits: the warm server is stopping", next_step="launch it again once it is back"
            )

    @property
    def supports_resume_run(self) -> bool:
        """A run whose worker died goes on in another one."""
        return True

    def resume_run(self, context: ResumeRunContext) -> None:
        """Returns once a worker has the run; while the warm server stops, nothing is done: monitoring asks again.

        Raises:
            MaestroError: no worker can be started at all.
        """
        if not self._start(context.dagster_run, resume=True):
            self._tell(context.dagster_run, "The warm server is stopping; the run is resumed once it is back.")

    def _start(self, run: dg.DagsterRun, *, resume: bool) -> bool:
        """False while the warm server is stopping."""
        home = self.home
        request = {"op": "launch", "run_id": run.run_id, "resume": resume}
        try:
            reply = wire.ask(server_socket(home), request, LAUNCH_SECONDS)
        except wire.NoAnswerError as error:
            reply = {"ok": False, "message": str(error)}
        if reply["ok"]:
            return True
        if reply.get("error") == "draining":
            return False
        reason = reply.get("message") or reply.get("error")
        message = f"The warm server cannot start this run, so it gets a process of its own, which is slow: {reason}"
        _log.warning("run %s: %s", run.run_id, message)
        self._tell(run, message, error=True)
        self._start_cold(home, run.run_id, resume=resume)
        return True

    def _start_cold(self, home: ServerHome, run_id: str, *, resume: bool) -> None:
        records = Records(home)
        with records.launching():
            record = records.get(run_id)
            if record is not None and record.going_on:
                return
            told, telling = os.pipe()
            try:
                argv = [sys.executable, "-m", "maestro_defs.warm.cold", run_id, "--home", str(home.folder)]
                argv += ["--acknowledge", str(telling), "--body", self._body, *(["--resume"] if resume else [])]
                with run_log(home, run_id).open("ab") as log:
                    subprocess.Popen(
                        argv,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        pass_fds=[telling],
                        start_new_session=True,
                        cwd=home.folder,
                    )
                os.close(telling)
                telling = -1
                ready, _, _ = select.select([told], [], [], COLD_SECONDS)
                if not ready or not os.read(told, 1):
                    raise MaestroError(f"run {run_id} cannot be started", next_step=f"read {run_log(home, run_id)}")
            finally:
                os.close(told)
                if telling >= 0:
                    os.close(telling)

    def terminate(self, run_id: str) -> bool:
        """Asks the run to stop; a second time gives up what it does at its end.

        Returns:
            False when it has ended already.
        """
        run = self._instance.get_run_by_id(run_id) if self.has_instance else None
        if run is None or run.is_finished:
            return False
        again = run.status == dg.DagsterRunStatus.CANCELING
        # One that ends at this moment has ended: compared and set, not written over.
        if not again and not any(
            move_run(self._instance, run, before, dg.DagsterRunStatus.CANCELING, _TERMINATING) for before in _GOING_ON
        ):
            return False
        home = self.home
        record = Records(home).get(run_id)
        if record is not None and not record.here:
            self._tell(run, f"Its worker is on {record.host}; it sees there that the run is cancelled.")
            return True
        if record is None or not record.going_on:
            self._instance.report_run_canceled(run, "Cancelled; no worker had it any more.")
            return True
        self._ask_to_stop(home, run, record, times=2 if again else 1)
        return True

    def _ask_to_stop(self, home: ServerHome, run: dg.DagsterRun, record: WorkerRecord, *, times: int) -> None:
        request = {"op": "stop", "run_id": run.run_id, "times": times, "seconds": self._cancel_seconds}
        kill_after = (self._cancel_seconds if times == 1 else 0) + KILL_SECONDS
        try:
            reply = wire.ask(worker_socket(home, record.process), request, ANSWER_SECONDS)
            if not reply["ok"]:
                return  # It has just ended.
            if not record.alone:
                return  # Killing its worker would kill the others it has.
        except wire.NoAnswerError:
            kill_after = UNANSWERED_SECONDS
            record.process.signal(signal.SIGINT)
            self._tell(run, f"Its worker (pid {record.process.pid}) does not answer; it is killed in a while.")
        doom = {"op": "kill", "pid": record.process.pid, "started": record.process.started, "seconds": kill_after}
        try:
            wire.ask(server_socket(home), doom, ANSWER_SECONDS)
        except wire.NoAnswerError as error:
            _log.warning("run %s: nobody is there to kill worker %d: %s", run.run_id, record.process.pid, error)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether a run's worker lives is known, even after the warm server was killed."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run is in the hands of a living worker."""
        record = Records(self.home).get(run.run_id)
        elsewhere = _other_machine(run)
        if record is None and elsewhere is not None:
            # Nobody here can tell, and a run that is resumed although it goes on would be carried out twice.
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"Its worker is on {elsewhere}.")
        if record is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "No worker of this machine has had the run.")
        worker = f"{record.host} {record.process.pid}"
        if not record.here:
            told = f"Its worker is on {record.host}."
            return CheckRunHealthResult(WorkerStatus.RUNNING, told, run_worker_id=worker)
        if record.going_on:
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=worker)
        told = record.detail or "its worker is gone" if record.state != "ended" else "its worker ended without it"
        return CheckRunHealthResult(WorkerStatus.FAILED, f"{told} (pid {record.process.pid})", run_worker_id=worker)

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """The end of what the run's worker printed."""
        log: Path = run_log(self.home, run.run_id)
        if not log.is_file():
            return None
        return log.read_bytes()[-_TAIL:].decode(errors="replace")

    def join(self, timeout: int = 30) -> None:
        """Waits until the runs launched from here have ended.

        Raises:
            MaestroError: they take longer than ``timeout`` seconds.
        """
        deadline, pause = time.monotonic() + timeout, 0.01
        while self.has_instance:
            runs = (self._instance.get_run_by_id(run_id) for run_id in self._launched)
            active = sorted(run.run_id for run in runs if run is not None and not run.is_finished)
            if not active:
                return
            if time.monotonic() > deadline:
                raise MaestroError(f"these runs have not ended after {timeout} s: {', '.join(active)}")
            time.sleep(pause)
            pause = min(1.0, 2 * pause)

    def _tell(self, run: dg.DagsterRun, message: str, *, error: bool = False) -> None:
        from dagster_shared.error import SerializableErrorInfo

        data = EngineEventData(error=SerializableErrorInfo(message, [], None)) if error else None
        self._instance.report_engine_event(message, run, data, cls=self.__class__)


def left_runs(home: ServerHome) -> list[str]:
    """Ids of runs of this machine that a worker left, or died with, and that no other worker has taken up since."""
    return [one.run_id for one in Records(home).all() if one.here and one.state != "ended" and not one.going_on]


def _other_machine(run: dg.DagsterRun) -> str | None:
    """The machine of the process that carries the run out, when that is not this one."""
    host = run.tags.get(PROCESS_TAG, "").rsplit(" ", 2)[0]
    return host if host and host != os.uname().nodename else None
