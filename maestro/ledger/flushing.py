"""Brings SQLite's log to the disk right behind each commit, without the callers waiting for the disk."""

from __future__ import annotations

import logging
import os
import threading

LOG = logging.getLogger(__name__)


class Flusher:
    """A thread, started when it is first needed, that flushes the write-ahead log after commits.

    The log is a file without locks of its own, so opening and closing it here disturbs nobody; the same done to the
    database file would drop the locks this process has on it.
    """

    def __init__(self, database: str | None) -> None:
        self._log = f"{database}-wal"
        self._dirty = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Something was committed."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="maestro-ledger-flusher", daemon=True)
            self._thread.start()
        self._dirty.set()

    def close(self) -> None:
        """Flushes a last time and ends the thread."""
        self._closing = True
        self._dirty.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            self._dirty.wait()
            self._dirty.clear()
            self._flush()

    def _flush(self) -> None:
        try:
            log = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            # The last connection was closed, which has brought everything into the database.
            return
        except OSError as error:
            LOG.error("the ledger's log cannot be flushed: %s", error.strerror)
            return
        try:
            os.fdatasync(log)
        except OSError as error:
            LOG.error("the ledger's log cannot be flushed: %s", error.strerror)
        finally:
            os.close(log)
