"""Where a step's output goes: its own file, masked when the step has secrets."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

from maestro.artifacts import Artifact, ArtifactStore
from maestro.secrets import MaskedPipe, Masker

MARK = "maestro: "
_KEPT_BYTES = 64 * 1024 * 1024


class StepLog:
    """The log of one step: standard output and standard error interleaved, as a CI job shows them.

    Args:
        path: the file, appended to; None: the process's own standard output (a stock Dagster executor captures it).
        masker: what to hide.
    """

    def __init__(self, path: Path | None, masker: Masker) -> None:
        self.path = path
        self._masker = masker
        self._pipe: MaskedPipe | None = None
        self._lock = threading.Lock()
        if path is None:
            self._descriptor = os.dup(1)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._start = os.fstat(self._descriptor).st_size if path else 0
        self.hide(masker)

    def hide(self, masker: Masker) -> None:
        """From now on hides what ``masker`` hides; before processes that know those secrets start."""
        self.drain()
        self._masker = masker
        if masker.active:
            self._pipe = MaskedPipe(masker, self._descriptor)

    @property
    def descriptor(self) -> int:
        """File descriptor for processes to write to."""
        return self._pipe.fileno() if self._pipe else self._descriptor

    def line(self, text: str) -> None:
        """One line of Maestro's own, marked so that it is told from the step's output."""
        self.write(f"{MARK}{text}\n".encode())

    def write(self, data: bytes) -> None:
        """Bytes into the log, masked."""
        masked = self._masker.data(data)
        with self._lock:
            while masked:
                masked = masked[os.write(self._descriptor, masked) :]

    def drain(self) -> None:
        """Waits until what processes wrote is in the file."""
        if self._pipe:
            self._pipe.close()
            self._pipe = None

    def keep(self, store: ArtifactStore) -> Artifact | None:
        """This attempt's part of the log as an artifact; at most its last 64 MiB."""
        self.drain()
        if self.path is None:
            return None
        with self.path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            file.seek(max(self._start, end - _KEPT_BYTES))
            return store.put_bytes(file.read(), name="log", media_type="text/plain; charset=utf-8")

    def close(self) -> None:
        """Drains and closes."""
        self.drain()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def logger(self, name: str) -> logging.Logger:
        """A logger that writes here; not registered anywhere, so it goes away with this object."""
        logger = logging.Logger(name, logging.INFO)
        logger.addHandler(_Handler(self))
        return logger


class _Handler(logging.Handler):
    def __init__(self, log: StepLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.line(record.getMessage())
