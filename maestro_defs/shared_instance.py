"""One Dagster instance for all runs of a process: each has its connections, and a thousand runs would have too many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from dagster import DagsterInstance


class SharedInstance:
    """Opened by the first who uses it, closed by the last; thread safe.

    Args:
        opened: opens it, with its connections kept.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[DagsterInstance]]) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._instance: DagsterInstance | None = None
        self._users = 0

    @contextmanager
    def use(self) -> Iterator[DagsterInstance]:
        """The instance, open within the block."""
        with self._lock:
            if self._instance is None:
                self._instance = self._stack.enter_context(self._opened())
            self._users += 1
            instance = self._instance
        try:
            yield instance
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._instance = None
                    self._stack.close()
