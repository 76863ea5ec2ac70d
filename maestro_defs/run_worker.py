"""The body of a run worker: one run of a server carried out in this process, from the run's id alone.

``python -m maestro_defs.run_worker RUN_ID --home FOLDER`` is a worker of its own; the warm server calls ``carry_out``
in a process it has forked.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run_iterator

from maestro.errors import InputError, MaestroError
from maestro.mirror import remove_worktree
from maestro.project import Project, revision_of
from maestro.runs.tags import BRANCH_TAG, PROJECT_TAG, UNTRUSTED_TAG, WORKFLOW_REVISION_TAG
from maestro.server.home import ServerHome, find_server
from maestro.server.patience import is_server_away, patiently
from maestro.server.projects import RegisteredProject
from maestro.server.wake import poke
from maestro.workflow.load import LoadedWorkflow
from maestro_defs.compiler import compile_workflow, job_name
from maestro_defs.definitions import definitions_of
from maestro_defs.instance import prepare_home, prepared_ref
from maestro_defs.kept_cancellations import kept_cancellations
from maestro_defs.late_imports import OF_A_RUN, import_all
from maestro_defs.leaving import leave
from maestro_defs.making import checkout_of
from maestro_defs.server import Server, loaded_from, registry
from maestro_defs.shared_instance import SharedInstance
from maestro_defs.trust import commit_of, judged, made_here
from resources.delivery import Checkout, Source

CONDUCTOR = "conductor"
_NO_RUN = "00000000-0000-0000-0000-000000000000"
_SAMPLE = b"""name: warm
stages:
  - name: warm
    steps:
      - run: shell
        with: { command: 'true' }
"""


def preload(home: ServerHome) -> None:
    """Imports, and prepares once, what every run needs; opens nothing that would not survive a fork."""
    import_all(OF_A_RUN)
    server = Server(home)
    prepared_ref(prepare_home(home.dagster, server.profile))
    # Step kinds, the models a workflow is read with, and what Dagster builds when a job is first compiled.
    loaded = loaded_from(_SAMPLE, "maestro.yaml")
    with tempfile.TemporaryDirectory(prefix="maestro-preload-") as folder:
        project = Project(Path(folder), Path(folder) / loaded.file, Path(folder) / "home")
        source = Source.load(project, server.profile, registry=registry(), loaded=loaded)
        create_execution_plan(compile_workflow(source).resolve_job_def(job_name(loaded.workflow.name)))


def prepare(home: ServerHome) -> None:
    """Opens what every run uses, in a worker that does not know yet which run comes; it stays open."""
    server, shared = _of_this_process(home)
    stack = ExitStack()
    instance = stack.enter_context(shared.use())
    _kept.append(stack)
    # The first question of its kind is the slow one.
    instance.get_run_by_id(_NO_RUN)
    server.projects.find("")


def carry_out(run_id: str, home: ServerHome, stop: threading.Event | None = None, *, resume: bool = False) -> None:
    """Carries out a run that was launched; its outcome is in Dagster's storage.

    Args:
        stop: set to have the run cancelled.
        resume: the run had begun in a worker that is gone; what it finished is not done again.

    Raises:
        MaestroError: the server's storage cannot be used, or there is no such run.
    """
    del stop  # Asked for by run id, see maestro_defs.stops.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    server, shared = _of_this_process(home)
    try:
        with shared.use() as instance:
            run = instance.get_run_by_id(run_id)
            if run is None:
                raise InputError(f"there is no run {run_id}", next_step="maestro status")
            if run.status == dg.DagsterRunStatus.CANCELING:
                # Dagster would take it for a run that another worker has.
                instance.report_run_canceled(run, "Cancelled before this worker began.")
                return
            try:
                with ExitStack() as stack:
                    run, job = patiently(_prepared, when=is_server_away)(server, instance, run, stack)
                    for _ in execute_run_iterator(InMemoryJob(job), run, instance, resume_from_failure=resume):
                        pass
            except Exception as error:
                instance.report_run_failed(run, f"the run could not be carried out: {error}")
                raise
    finally:
        poke(home, CONDUCTOR)


def _prepared(
    server: Server, instance: dg.DagsterInstance, run: dg.DagsterRun, stack: ExitStack
) -> tuple[dg.DagsterRun, dg.JobDefinition]:
    if not made_here(run):
        project = server.projects.get(project_of(run))
        run = judged(run, instance, project.name, server.mirror(project))
    return run, stack.enter_context(prepared_job(server, run))


_kept: list[ExitStack] = []
_servers: dict[Path, tuple[Server, SharedInstance]] = {}
_making = threading.Lock()


def _of_this_process(home: ServerHome) -> tuple[Server, SharedInstance]:
    """One of each for all runs of a worker: their connections, and how Dagster logs, are of the process."""
    with _making:
        if home.folder not in _servers:
            server = Server(home)
            _servers[home.folder] = server, SharedInstance(lambda: _opened(server))
        return _servers[home.folder]


@contextmanager
def _opened(server: Server) -> Iterator[dg.DagsterInstance]:
    with ExitStack() as stack:
        instance = patiently(lambda: stack.enter_context(server.instance()), when=is_server_away)()
        stack.enter_context(kept_cancellations(instance))
        yield instance


@contextmanager
def prepared_job(server: Server, run: dg.DagsterRun) -> Iterator[dg.JobDefinition]:
    """The job of ``run``, compiled from the workflow its revision has; its checkout is there meanwhile.

    Raises:
        MaestroError: its project is not registered any more, or its revision cannot be had.
    """
    project = server.projects.get(project_of(run))
    workflow_sha = workflow_revision(server, project, run)
    server.mirror(project).ensure(workflow_sha)
    loaded = server.workflow(project, workflow_sha)
    source = server.source(project, loaded, _params(run))
    with ThreadPoolExecutor(1, thread_name_prefix="checkout") as beside:
        # Git's work and Dagster's, at the same time.
        looked = beside.submit(_here, server, project, source, run)
        job = _job(source, run, loaded)
        here = looked.result()
    if here is None:
        yield job
        return
    source.in_place[run.run_id] = here
    try:
        yield job
    finally:
        remove_worktree(here.workspace)


def project_of(run: dg.DagsterRun) -> str:
    """Name of the project ``run`` is of: written on it, or the code location it was started in.

    Raises:
        InputError: it has neither.
    """
    name = run.tags.get(PROJECT_TAG)
    if name is None and run.remote_job_origin is not None:
        name = run.remote_job_origin.location_name
    if name is None:
        raise InputError(f"run {run.run_id} belongs to no project", next_step="start it from its project")
    return name


def workflow_revision(server: Server, project: RegisteredProject, run: dg.DagsterRun) -> str:
    """The commit whose workflow file ``run`` is carried out by: never an untrusted revision's own.

    Raises:
        MaestroError: it is the default branch's, and that cannot be asked for.
    """
    sha = run.tags.get(WORKFLOW_REVISION_TAG)
    if sha is None and UNTRUSTED_TAG not in run.tags:
        sha = commit_of(run)
    return sha or server.default_revision(project)


def _params(run: dg.DagsterRun) -> dict[str, object] | None:
    config: object = run.run_config
    for name in ("resources", "params", "config"):
        config = config.get(name, {}) if isinstance(config, dict) else {}
    return dict(config) if isinstance(config, dict) and config else None


def _job(source: Source, run: dg.DagsterRun, loaded: LoadedWorkflow) -> dg.JobDefinition:
    if run.job_name == job_name(loaded.workflow.name):
        definitions = compile_workflow(source)
    else:
        import os

        definitions = definitions_of(source, os.environ, prefix=(source.project_name,))
    if run.job_name.startswith("__ASSET_JOB"):
        return definitions.resolve_implicit_global_asset_job_def()
    return definitions.resolve_job_def(run.job_name)


def _here(server: Server, project: RegisteredProject, source: Source, run: dg.DagsterRun) -> Checkout | None:
    """The checkout that was made for the run; None when it is not here: then the run's session makes one."""
    sha, folder = commit_of(run), checkout_of(run)
    if sha is None:
        return None
    server.mirror(project).ensure(sha)
    if folder is None:
        return None
    return Checkout(replace(revision_of(source.project, sha), branch=run.tags.get(BRANCH_TAG)), folder)


def main(arguments: list[str] | None = None) -> int:
    """The program; 0 when the run was carried out, whatever came of it."""
    parser = argparse.ArgumentParser(prog="python -m maestro_defs.run_worker", description=__doc__)
    parser.add_argument("run_id")
    parser.add_argument("--home", required=True)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args(arguments)
    try:
        carry_out(given.run_id, find_server(given.home), resume=given.resume)
    except MaestroError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    leave(main())
