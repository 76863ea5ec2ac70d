"""Imports everything a run touches, and nothing that would not survive a fork: no thread, no connection, no store."""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from importlib.metadata import entry_points
from pathlib import Path

from maestro.errors import MaestroError
from maestro.server.home import ServerHome

_log = logging.getLogger("maestro.warm")

ALWAYS = (
    "dagster",
    "dagster._core.execution.api",
    "dagster._core.execution.host_mode",
    "dagster._core.executor.child_process_executor",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "dagster._core.run_coordinator.default_run_coordinator",
    "dagster._core.storage.local_compute_log_manager",
    "maestro_defs.compiler",
    "maestro_defs.executor",
    "maestro_defs.launcher",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
POSTGRES = (
    "psycopg2",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "dagster_postgres",
    "dagster_postgres.event_log.event_log",
    "dagster_postgres.run_storage.run_storage",
    "dagster_postgres.schedule_storage.schedule_storage",
)
STEP_KINDS = "maestro.steps"


def preload(home: ServerHome, body: str) -> None:
    """Imports it, and freezes it for the garbage collector, which would otherwise copy it into every worker.

    Raises:
        MaestroError: something imported has started a thread; ImportError: something needed is missing.
    """
    gc.disable()
    for name in (*ALWAYS, *(POSTGRES if home.settings.database else ())):
        importlib.import_module(name)
    for kind in entry_points(group=STEP_KINDS):
        try:
            kind.load()
        except Exception as error:  # noqa: BLE001 - a broken plug-in is told by the run that uses it
            _log.warning("step kind %s cannot be loaded: %s", kind.name, error)
    module = importlib.import_module(body.partition(":")[0])
    for one in (module, sys.modules.get("maestro_defs.run_worker")):
        more = getattr(one, "preload", None)
        if callable(more):
            more(home)
    check_single()
    gc.collect()
    gc.freeze()


def check_single() -> None:
    """Nothing of another thread survives a fork, but what it held stays locked for ever; so there must be none.

    Raises:
        MaestroError: there is one, of Python or of a library.
    """
    threads = list(Path("/proc/self/task").iterdir())
    if len(threads) > 1:
        names = sorted((one / "comm").read_text(encoding="utf-8").strip() for one in threads)
        raise MaestroError(
            f"the warm server has {len(threads)} threads ({', '.join(names)}), so no worker can be forked",
            next_step="a step kind starts a thread, or uses a store, when it is imported: it must not",
        )
