"""Which worker has which run: a small file for each run, so that every program of the server finds it again.

The worker writes it before anybody is told that the run was launched, and when the run has ended; the warm server when
a worker died. So it holds even when the warm server was killed meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from maestro.errors import InputError
from maestro.server.home import ServerHome
from maestro_defs.warm.processes import ProcessName

State = Literal["running", "ended", "left", "died"]
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_KEPT_SECONDS = 7 * 86400


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A run and the worker that has it.

    Args:
        host: name of the worker's machine.
        state: ``ended``: the body of the run came to an end; ``left``: for another worker to resume; ``died``: the
            worker's process did, with the run.
        detail: how it died, in words.
        alone: whether no other run may share the process.
    """

    run_id: str
    host: str
    process: ProcessName
    state: State = "running"
    detail: str = ""
    alone: bool = True

    @property
    def here(self) -> bool:
        """Whether the worker is on this machine."""
        return self.host == os.uname().nodename

    @property
    def going_on(self) -> bool:
        """Whether the run is in the hands of a living worker of this machine."""
        return self.state == "running" and self.here and self.process.alive


class Records:
    """The files, in ``run`` of the server's home."""

    def __init__(self, home: ServerHome) -> None:
        self._folder = home.folder / "run"
        self._folder.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def launching(self) -> Iterator[None]:
        """One launch at a time on this machine, whichever process does it."""
        descriptor = os.open(self._folder / ".launching", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def get(self, run_id: str) -> WorkerRecord | None:
        """The run's newest worker; None when it never had one here.

        Raises:
            InputError: that is no id of a run.
        """
        try:
            content = json.loads(self._file(run_id).read_bytes())
            return WorkerRecord(**{**content, "process": ProcessName(**content["process"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def put(self, record: WorkerRecord) -> None:
        """Replaces the run's record."""
        file = self._file(record.run_id)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
        temporary.replace(file)

    def settle(self, run_id: str, process: ProcessName, state: State, detail: str = "") -> None:
        """Notes how it ended, unless another worker has it by now or its end is known."""
        record = self.get(run_id)
        if record is not None and record.process == process and record.state == "running":
            self.put(replace(record, state=state, detail=detail))

    def all(self) -> list[WorkerRecord]:
        """Of every run that was launched here in the last days."""
        found = (self.get(file.stem) for file in self._folder.glob("*.json"))
        return [record for record in found if record is not None]

    def prune(self) -> None:
        """Forgets runs that ended more than a week ago."""
        limit = time.time() - _KEPT_SECONDS
        for file in self._folder.glob("*.json"):
            if file.stat().st_mtime < limit and not ((record := self.get(file.stem)) and record.going_on):
                file.unlink(missing_ok=True)

    def _file(self, run_id: str) -> Path:
        return self._folder / f"{checked(run_id)}.json"


def checked(run_id: str) -> str:
    """The id, when it is one and so names no other file.

    Raises:
        InputError: it is not.
    """
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise InputError(f"{run_id!r:.80} is no id of a run", next_step="give it as `maestro status` shows it")
    return run_id


def worker_socket(home: ServerHome, process: ProcessName) -> Path:
    """Where a worker listens."""
    return home.sockets / f"worker-{process.pid}.sock"


def server_socket(home: ServerHome) -> Path:
    """Where the warm server listens."""
    return home.sockets / "warm.sock"


def run_log(home: ServerHome, run_id: str) -> Path:
    """What a run's worker prints."""
    folder = home.logs / "runs"
    folder.mkdir(exist_ok=True)
    return folder / f"{checked(run_id)}.log"
