"""Finds the step records a person means, by run, revision and step."""

from __future__ import annotations

from maestro.artifacts import ArtifactStore, RecordStore, StepRecord, keys
from maestro.cli.options import GlobalOptions
from maestro.cli.prepare import find_project, open_store
from maestro.errors import InputError
from maestro.profile import load_profile
from maestro.project import revision_of
from maestro.runs.project_name import project_name
from maestro.runs.reading import LATEST, chosen_steps, meant


def store_of(options: GlobalOptions) -> ArtifactStore:
    """The artifact store of the project the options name."""
    return open_store(find_project(options), load_profile(options.profile))


def records_of(
    options: GlobalOptions, *, run: str | None = None, revision: str | None = None, step: str | None = None
) -> list[StepRecord]:
    """Records of a run, else of a revision, else of the revision checked out.

    Raises:
        InputError: there is no such run, revision or step.
    """
    project = find_project(options)
    records = RecordStore(open_store(project, load_profile(options.profile)))
    if run is not None:
        found = records.of_run(_run_id(records, run))
    else:
        name = project_name(project)
        found = records.steps_of_revision(name, _revision(options, revision))
    if step is None:
        return found
    chosen = chosen_steps([record.step for record in found], [step]) if found else set()
    return [record for record in found if record.step in chosen]


def _revision(options: GlobalOptions, named: str | None) -> str:
    if named is not None:
        return revision_of(find_project(options), named).id
    from maestro.cli.prepare import open_project

    return open_project(options).current_revision().id


def _run_id(records: RecordStore, run: str) -> str:
    if run == LATEST:
        newest = max(records.store.objects.under(keys.RUNS), key=lambda info: info.last_modified, default=None)
        name = keys.name_of(newest.key.split("/")[1]) if newest else None
        if name is None:
            raise InputError("no run has left anything yet", next_step="start one with `maestro run`")
        return name
    known = records.runs()
    found = meant(run, known)
    if found is None or found not in known:
        raise InputError(f"no run '{run}' has left anything", next_step="list the runs with `maestro status`")
    return found
