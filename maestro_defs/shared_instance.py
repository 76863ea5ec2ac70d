"""One Dagster instance for all runs of a process: each has its connections, and a thousand runs would have too many.

Private seam used, pinned by tests/integration/test_warm_runs.py: ``DagsterInstance.get_yaml_python_handlers``, which
``DagsterInstance.get_handlers`` asks for each run.
"""

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
                _configure_logging_once(self._instance)
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


def _configure_logging_once(instance: DagsterInstance) -> None:
    """Dagster configures Python's logging anew for each run.

    It would close handlers that other runs use; and since it waits for these while it holds logging's own lock, which
    whoever uses one of them may be waiting for, it would stop all of them for ever.
    """
    handlers = instance.get_yaml_python_handlers()
    instance.__dict__["get_yaml_python_handlers"] = lambda: handlers
