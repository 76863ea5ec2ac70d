"""Bodies of runs for tests of the warm server: what a worker does in place of a workflow."""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import threading
from pathlib import Path

from maestro.server.home import ServerHome
from maestro_defs.stops import RunStop


def note(run_id: str, home: ServerHome, stop: threading.Event | None, *, resume: bool = False) -> None:
    """Writes down what it finds."""
    descriptors = {}
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            descriptors[entry.name] = str(entry.readlink())
        except OSError:
            continue
    found = {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "resume": resume,
        "random": random.random(),
        "descriptors": descriptors,
        "folder": str(Path.cwd()),
        "dagster": "dagster" in sys.modules,
        "nice": os.nice(0),
        "memory": resource.getrlimit(resource.RLIMIT_AS)[0],
        "oom": int(Path("/proc/self/oom_score_adj").read_text()),
    }
    file = home.folder / "noted" / run_id
    file.parent.mkdir(exist_ok=True)
    file.with_suffix(".part").write_text(json.dumps(found))
    file.with_suffix(".part").rename(file)
    print("noted", run_id, flush=True)


def hold(run_id: str, home: ServerHome, stop: threading.Event | None, *, resume: bool = False) -> None:
    """Goes on until it is asked to stop, or a file says that it may end."""
    note(run_id, home, stop, resume=resume)
    assert stop is not None
    while not stop.wait(0.02):
        if (home.folder / "release").exists():
            return
    if isinstance(stop, RunStop) and stop.leaving:
        stop.park()


def stubborn(run_id: str, home: ServerHome, stop: threading.Event | None, *, resume: bool = False) -> None:
    """Goes on whatever it is asked."""
    note(run_id, home, stop, resume=resume)
    threading.Event().wait()


def crash(run_id: str, home: ServerHome, stop: threading.Event | None, *, resume: bool = False) -> None:
    """Takes its process with it."""
    note(run_id, home, stop, resume=resume)
    os.kill(os.getpid(), 9)


def complain(run_id: str, home: ServerHome, stop: threading.Event | None, *, resume: bool = False) -> None:
    """Raises."""
    raise RuntimeError("nothing works today")
