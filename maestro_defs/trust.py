"""Whether a run on a server is trusted: somebody who may write to the repository vouches for its commit.

The one place that decides it for runs the conductor did not make: Materialize, a backfill or a re-execution in
Dagster's UI, and ``maestro run --remote``. Any commit the server has seen is a partition there, also those of forks.
"""

from __future__ import annotations

import re
import uuid

import dagster as dg

from maestro.mirror import Mirror
from maestro.runs.tags import DELIVERY_TAG, PARTITION_TAG, PROJECT_TAG, UNTRUSTED_TAG, WORKFLOW_TAG

SOURCE_TAG = "maestro/source"
"""On a run whose source was sent to another machine, where whoever launched it has judged it: JSON, commit -> sha256 of
the archive with it in the artifact store."""
_NAMESPACE = uuid.UUID("6d616573-7472-6f20-7275-6e2069640000")
_LOOKED_AT = 100
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def run_id_of(delivery: str, workflow: str, sha: str) -> str:
    """The id of the run a delivery asks for: the same whoever makes it, and however often (UUID version 5)."""
    return str(uuid.uuid5(_NAMESPACE, "\0".join([delivery, workflow, sha])))


def commit_of(run: dg.DagsterRun) -> str | None:
    """The commit ``run`` is of; None: of none, as where a standing asset is made, for a day or for a week."""
    partition = run.tags.get(PARTITION_TAG)
    return None if partition is None or _DAY.fullmatch(partition) else partition


def made_here(run: dg.DagsterRun) -> bool:
    """Whether the server made ``run`` of a delivery: then its id follows from its tags.

    The UI copies the tags of a run that is executed again, and lets people change them; the id it draws itself.
    """
    delivery, workflow, sha = (run.tags.get(name, "") for name in (DELIVERY_TAG, WORKFLOW_TAG, PARTITION_TAG))
    return bool(delivery and sha) and run.run_id == run_id_of(delivery, workflow, sha)


def trusted(run: dg.DagsterRun, instance: dg.DagsterInstance, project: str, mirror: Mirror) -> bool:
    """Whether ``run`` is trusted.

    It is not when its tags say so. Else it is when the server made it, when the server has made a trusted run of its
    commit (of a push, or since somebody approved it), or when the commit is on a branch or tag of the repository.

    Raises:
        InputError: its revision is no commit.
        UnreachableError, MirrorError: the branches are to be asked for, and the repository does not answer.
    """
    if UNTRUSTED_TAG in run.tags:
        return False
    sha = commit_of(run)
    if sha is None or SOURCE_TAG in run.tags or made_here(run):
        return True
    if mirror.published(sha):
        return True
    others = instance.get_runs(dg.RunsFilter(tags={PROJECT_TAG: project, PARTITION_TAG: sha}), limit=_LOOKED_AT)
    if any(made_here(one) and UNTRUSTED_TAG not in one.tags for one in others):
        return True
    mirror.refresh()
    return mirror.published(sha)


def judged(run: dg.DagsterRun, instance: dg.DagsterInstance, project: str, mirror: Mirror) -> dg.DagsterRun:
    """``run``, with the tag that says so, and an event for people, when it is not trusted.

    Raises:
        As ``trusted``.
    """
    if UNTRUSTED_TAG in run.tags or trusted(run, instance, project, mirror):
        return run
    instance.add_run_tags(run.run_id, {UNTRUSTED_TAG: "true"})
    instance.report_engine_event(
        "Not trusted: its commit is on no branch or tag of the repository, and nobody has approved it. "
        "It runs the default branch's workflow, sandboxed, without secrets and effects.",
        run,
    )
    return instance.get_run_by_id(run.run_id) or run
