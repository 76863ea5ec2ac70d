"""What a worker carries out for each run of ``bench runs``: the workflow of one project, compiled anew for the run."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from maestro.profile import load_profile
from maestro.project import Project, revision_of
from maestro.runs.tags import PARTITION_TAG
from maestro.server.home import ServerHome
from maestro_defs.compiler import compile_workflow
from maestro_defs.connections import kept_connections
from maestro_defs.instance import open_home, prepare_home
from maestro_defs.shared_instance import SharedInstance
from resources.delivery import Checkout, Source

PROJECT = "MAESTRO_BENCH_PROJECT"


def source_of(project_folder: Path, profile: str) -> Source:
    """The workflow in that folder."""
    return Source.load(Project.find(project_folder), load_profile(profile))


@contextmanager
def opened(folder: Path, profile: str) -> Iterator[dg.DagsterInstance]:
    """The instance in that ``DAGSTER_HOME``, with its connections kept."""
    chosen = load_profile(profile)
    with open_home(prepare_home(folder, chosen), chosen) as instance, kept_connections(instance):
        yield instance


@cache
def _shared(folder: Path, profile: str) -> SharedInstance:
    return SharedInstance(lambda: opened(folder, profile))


def carry_out(run_id: str, home: ServerHome, stop: threading.Event | None, *, resume: bool = False) -> None:
    """Carries out a run."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with _shared(home.dagster, home.settings.profile).use() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        source = source_of(Path(os.environ[PROJECT]), home.settings.profile)
        revision = revision_of(source.project, run.tags[PARTITION_TAG])
        source.in_place[run_id] = Checkout(revision, source.project.root)
        definitions: dg.Definitions = compile_workflow(source)
        job = definitions.resolve_job_def(run.job_name)
        for _ in execute_run_iterator(InMemoryJob(job), run, instance, resume_from_failure=resume):
            pass
