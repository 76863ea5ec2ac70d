"""Puts results into the step cache, but only while the files they were made from are still what they were.

A person may edit the checkout while steps run in it. Looking at the whole tree after every step would cost more than
many steps do, so results wait a moment and one look serves them all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from maestro.artifacts import RecordStore, StepRecord
from maestro.execution.inputs import matches
from maestro.project import FileEntry

_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    key: str
    record: StepRecord
    globs: Sequence[str] | None


class CacheWriter:
    """Collects finished results and saves those whose inputs did not change.

    Args:
        records: where cache records are kept.
        files: the revision's files when the run began.
        files_now: the checkout's files now; None when nobody else can change the checkout.
    """

    def __init__(
        self,
        records: RecordStore,
        files: Mapping[str, FileEntry],
        files_now: Callable[[], Mapping[str, FileEntry]] | None,
    ) -> None:
        self._records = records
        self._files = files
        self._files_now = files_now
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._looked = time.monotonic()

    def offer(self, key: str, record: StepRecord, globs: Sequence[str] | None) -> None:
        """A passed result and the globs of its inputs (None: every file)."""
        if self._files_now is None:
            self._records.save_cache(key, record)
            return
        with self._lock:
            self._waiting.append(_Waiting(key, record, globs))
            due = time.monotonic() - self._looked > _PAUSE_SECONDS
        if due:
            self.flush()

    def flush(self) -> list[str]:
        """Saves what waits; names of the steps that are not saved because their inputs changed."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._looked = time.monotonic()
        if not waiting or self._files_now is None:
            return []
        now = self._files_now()
        changed = [path for path in {*self._files, *now} if self._files.get(path) != now.get(path)]
        left_out = []
        for one in waiting:
            touched = changed if one.globs is None else list(matches(changed, one.globs))
            if touched:
                left_out.append(one.record.step)
            else:
                self._records.save_cache(one.key, one.record)
        return left_out
