"""Where runs are read from: this machine, or a server."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from maestro.cli.options import GlobalOptions
from maestro.errors import InputError
from maestro.runs import RunView
from maestro.runs.client import Runs


@contextmanager
def open_runs(options: GlobalOptions, remote: str | None) -> Iterator[Runs]:
    """The runs of the project the options name.

    Raises:
        MaestroError: the storage or the server does not answer.
    """
    gc.disable()
    from maestro.cli.prepare import find_project
    from maestro.profile import load_profile
    from maestro.runs.project_name import project_name

    project = find_project(options)
    profile = load_profile(options.profile)
    name = project_name(project)
    if remote is not None:
        from maestro.remote import RemoteRuns

        with RemoteRuns(remote, name) as server:
            yield server
        return
    from maestro_defs.lean_imports import lean_imports

    with lean_imports():
        from maestro_defs.local_runs import LocalRuns

    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with LocalRuns(project, profile, project_name=name) as here:
        gc.enable()
        yield here


def running_now(runs: Runs) -> RunView:
    """The newest run that has not ended.

    Raises:
        InputError: there is none.
    """
    found = next((run for run in runs.list(100) if not run.finished), None)
    if found is None:
        raise InputError("no run is going on", next_step="list the runs with `maestro status`")
    return found
