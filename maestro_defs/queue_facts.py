"""What admission needs to know of the instance's runs, read once for each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import PRIORITY_TAG

from maestro.admission import Active, Limits, Waiting
from maestro.runs.tags import (
    GROUP_TAG,
    PARTITION_TAG,
    PROJECT_TAG,
    PULL_REQUEST_TAG,
    SUPERSEDES_TAG,
    TENANT_TAG,
    UNTRUSTED_TAG,
)
from maestro.server.settings import LimitSettings
from maestro_defs.run_moves import Standing

_AT_ONCE = 500
_YES = frozenset({"true", "yes", "1"})


@dataclass(frozen=True, slots=True)
class Facts:
    """One run, as it was when it was first seen: what its tags say here does not change."""

    run: DagsterRun
    position: int
    """Grows from run to run as they are made."""

    def active(self, status: DagsterRunStatus, position: int) -> Active:
        """The run as one that occupies a place."""
        tags = self.run.tags
        return Active(
            run_id=self.run.run_id,
            position=position,
            project=project_of(self.run),
            tenant=tags.get(TENANT_TAG, ""),
            group=tags.get(GROUP_TAG) or None,
            scope=scope_of(tags),
            cancel_superseded=says_yes(tags, SUPERSEDES_TAG),
            revision=tags.get(PARTITION_TAG, ""),
            cancelling=status == DagsterRunStatus.CANCELING,
        )

    def waiting(self, held: str | None, position: int) -> Waiting:
        """The run as a queued one."""
        tags = self.run.tags
        return Waiting(
            run_id=self.run.run_id,
            position=position,
            project=project_of(self.run),
            tenant=tags.get(TENANT_TAG, ""),
            group=tags.get(GROUP_TAG) or None,
            scope=scope_of(tags),
            cancel_superseded=says_yes(tags, SUPERSEDES_TAG),
            revision=tags.get(PARTITION_TAG, ""),
            priority=_priority(tags),
            held=held,
        )


class FactsOfRuns:
    """The facts of all runs that are queued or active, kept while they are."""

    def __init__(self, instance: DagsterInstance) -> None:
        self._instance = instance
        self._facts: dict[str, Facts] = {}

    def of(self, standing: Sequence[Standing]) -> dict[str, Facts]:
        """The facts of the runs of ``standing``; a run that was deleted just now is missing."""
        known = {one.run_id: self._facts[one.run_id] for one in standing if one.run_id in self._facts}
        unknown = [one.run_id for one in standing if one.run_id not in known]
        for start in range(0, len(unknown), _AT_ONCE):
            wanted = RunsFilter(run_ids=unknown[start : start + _AT_ONCE])
            for record in self._instance.get_run_records(wanted):
                run = record.dagster_run
                known[run.run_id] = Facts(run, record.storage_id)
        self._facts = known
        return dict(known)


def limits_of(settings: LimitSettings) -> Limits:
    """The limits of ``server.yaml``."""
    return Limits(
        runs=settings.runs,
        per_project=settings.per_project,
        per_tenant=settings.per_tenant,
        projects=settings.projects,
        tenants=settings.tenants,
    )


def project_of(run: DagsterRun) -> str:
    """The project a run counts for."""
    # What no session of Maestro tagged is of its code location, which is named as the project.
    location = run.remote_job_origin.location_name if run.remote_job_origin else ""
    return run.tags.get(PROJECT_TAG) or location or run.job_name


def scope_of(tags: Mapping[str, str]) -> str:
    """See ``maestro.admission.Active``."""
    return f"pull request {tags.get(PULL_REQUEST_TAG, '')}" if says_yes(tags, UNTRUSTED_TAG) else ""


def says_yes(tags: Mapping[str, str], tag: str) -> bool:
    """Whether a tag is set; people may have written it."""
    return tags.get(tag, "").strip().lower() in _YES


def _priority(tags: Mapping[str, str]) -> int:
    try:
        return int(tags.get(PRIORITY_TAG, "0"))
    except ValueError:
        return 0
