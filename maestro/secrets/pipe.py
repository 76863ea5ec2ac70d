"""Stands between a process and the file its output goes to."""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path
from types import TracebackType

from maestro.errors import MaestroError
from maestro.secrets.masking import Masker
from maestro.secrets.stream import MaskingStream

CLOSE_SECONDS = 5.0
"""How long ``close`` waits for somebody else who still holds the writing end."""


class MaskedPipe:
    """A descriptor to write to; what is written reaches the destination masked. A context manager.

    When there is nothing to mask the descriptor is the destination itself.

    Args:
        masker: what is masked.
        destination: a file, appended to and made when absent, or a descriptor, which stays open.
    """

    def __init__(self, masker: Masker, destination: Path | int) -> None:
        if isinstance(destination, int):
            self._destination = os.dup(destination)
        else:
            self._destination = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._name = str(destination)
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._writing = self._destination
        if masker.active:
            reading, self._writing = os.pipe()
            self._ending, self._end = os.pipe()
            stream = MaskingStream(masker, self._write)
            self._thread = threading.Thread(target=self._pump, args=(reading, stream), name="masked-pipe", daemon=True)
            self._thread.start()

    def fileno(self) -> int:
        """The descriptor to write to; valid until ``close``."""
        return self._writing

    def close(self) -> None:
        """Drain the pipe and close everything.

        Raises:
            MaestroError: the destination could not be written.
        """
        if self._closed:
            return
        self._closed = True
        os.close(self._writing)
        if self._thread is None:
            return
        self._thread.join(CLOSE_SECONDS)
        os.close(self._end)
        self._thread.join()
        os.close(self._ending)
        os.close(self._destination)
        if self._error is not None:
            raise MaestroError(f"output cannot be written to {self._name}: {self._error.strerror}") from self._error

    def __enter__(self) -> MaskedPipe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pump(self, reading: int, stream: MaskingStream) -> None:
        os.set_blocking(reading, False)
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        poll.register(self._ending, select.POLLIN)
        while True:
            poll.poll()
            try:
                data = os.read(reading, 1 << 16)
            except BlockingIOError:
                # Nothing left to read, so it was the end that woke us.
                break
            if not data:
                break
            stream.write(data)
        stream.flush()
        os.close(reading)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        # After an error the process is still read from, or it would block on a full pipe for ever.
        while view and self._error is None:
            try:
                view = view[os.write(self._destination, view) :]
            except OSError as error:
                self._error = error
