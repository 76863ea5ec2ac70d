"""The process ``forked_maestro`` asks: imports other people's libraries once, and forks for each command."""

from __future__ import annotations

import gc
import importlib
import json
import os
import socket
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

LIBRARIES = (
    "alembic.command",
    "cryptography.hazmat.primitives.serialization",
    "dagster",
    "dagster._core.execution.api",
    "dagster._core.execution.host_mode",
    "dagster._core.executor.child_process_executor",
    "dagster._core.launcher.default_run_launcher",
    "dagster._core.run_coordinator.default_run_coordinator",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "jinja2.sandbox",
    "obstore",
    "pathspec",
    "psutil",
    "pydantic",
    "regorus",
    "rich.console",
    "rich.table",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "structlog",
    "yaml",
    "zstandard",
)
"""What commands import of others sooner or later, and what starts no thread when it is imported."""

_OWN = ("maestro", "maestro_defs", "assets", "resources", "sensors")
_LARGEST_REQUEST = 1 << 18


def main() -> None:
    """Forks for each request until whoever asks is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()
    for name in LIBRARIES:
        importlib.import_module(name)
    # Held by a thread, a lock would be held for ever in the fork.
    assert len(list(Path("/proc/self/task").iterdir())) == 1
    assert not [name for name in sys.modules if name.partition(".")[0] in _OWN]
    gc.freeze()
    while True:
        request, handed, _, _ = socket.recv_fds(control, _LARGEST_REQUEST, 4)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            _keep(json.loads(request), handed)
        for descriptor in handed:
            os.close(descriptor)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _keep(request: dict[str, Any], handed: list[int]) -> NoReturn:
    """Starts the command, tells its process id, waits for it and tells its exit code as ``subprocess`` does."""
    answer, *streams = handed
    pid = os.fork()
    if pid == 0:
        os.close(answer)
        _become(request, streams)
    with socket.socket(fileno=answer) as connection:
        connection.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        with suppress(OSError):
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv = request["argv"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    gc.enable()
    try:
        from maestro.cli.start import main as start

        start()
    except BaseException:  # noqa: BLE001 - told as the interpreter tells it, and nothing of this process goes on
        traceback.print_exc()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
