"""What people ask for in comments and by buttons: a run again, a run's end, trust in a fork's commit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import dagster as dg

from maestro.errors import InputError
from maestro.github.permissions import may_write
from maestro.github.teams import is_member
from maestro.inbox import Delivery
from maestro.runs.tags import (
    AUTHOR_TAG,
    BASE_TAG,
    BRANCH_TAG,
    EARLIER_TAG,
    PARTITION_TAG,
    PROJECT_TAG,
    PULL_REQUEST_TAG,
    UNTRUSTED_TAG,
    WORKFLOW_REVISION_TAG,
)
from maestro.server.projects import RegisteredProject
from maestro.triggers import Command, allowed
from maestro.workflow.load import LoadedWorkflow
from maestro_defs.late_end import claim_end
from maestro_defs.local import Resumption
from maestro_defs.making import AskedRun, MadeRun
from maestro_defs.server import Server
from maestro_defs.trust import trusted

Make = Callable[[RegisteredProject, LoadedWorkflow, AskedRun], MadeRun | None]
_LOOKED_AT = 50
_SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Obeyed:
    """What a command led to."""

    said: str
    runs: tuple[str, ...] = ()


class Commands:
    """Obeys commands of people the project lets command."""

    def __init__(self, server: Server, instance: dg.DagsterInstance) -> None:
        self._server = server
        self._instance = instance

    def obey(self, delivery: Delivery, project: RegisteredProject, command: Command, make: Make) -> Obeyed:
        """Does what ``command`` says, or says why not.

        Raises:
            MaestroError: the revision it is about cannot be had or planned any more.
        """
        # Who may command is read from the default branch: a pull request must not say so itself.
        loaded = self._server.workflow(project, self._server.default_revision(project))
        refused = allowed(
            command,
            loaded.workflow.on,
            in_team=lambda team, login: is_member(self._server.github.client(project), team, login),
        )
        if refused is not None:
            return Obeyed(refused)
        runs = self._runs({PROJECT_TAG: project.name, PULL_REQUEST_TAG: str(command.number)})
        if command.name == "cancel":
            return self._cancel(runs)
        key = f"{delivery.provider}:{delivery.delivery}"
        if command.name == "approve":
            return self._approve(project, command, runs, key, make)
        failed = next((run for run in runs if run.is_finished), None)
        if failed is None or failed.status == dg.DagsterRunStatus.SUCCESS:
            return Obeyed("nothing to retry: the newest run of this pull request has not failed")
        return self.again(project, failed, key, make)

    def again(self, project: RegisteredProject, run: dg.DagsterRun, key: str, make: Make) -> Obeyed:
        """The run once more: resumed when it failed, else anew; as trusted as it was."""
        # Not by the mark alone: a run of the UI gets it when it is carried out, which may not have come to pass.
        as_it_was = trusted(run, self._instance, project.name, self._server.mirror(project))
        asked = asked_again(run, key, trusted=as_it_was)
        if not as_it_was and asked.workflow_sha == asked.sha:
            asked = replace(asked, workflow_sha=self._server.default_revision(project))
        self._server.mirror(project).ensure(asked.sha)
        self._server.mirror(project).ensure(asked.workflow_sha)
        loaded = self._server.workflow(project, asked.workflow_sha)
        if asked.resumes is not None:
            claim_end(self._server.source(project, loaded), run.run_id, "resume")
        return _told(make(project, loaded, asked), f"run {run.run_id} again")

    def runs_at(self, project: RegisteredProject, sha: str) -> list[dg.DagsterRun]:
        """Runs of a revision, newest first."""
        return self._runs({PROJECT_TAG: project.name, PARTITION_TAG: sha})

    def _runs(self, tags: dict[str, str]) -> list[dg.DagsterRun]:
        return list(self._instance.get_runs(dg.RunsFilter(tags=tags), limit=_LOOKED_AT))

    def _cancel(self, runs: list[dg.DagsterRun]) -> Obeyed:
        going = [run.run_id for run in runs if not run.is_finished]
        for run_id in going:
            self._instance.run_coordinator.cancel_run(run_id)
        return Obeyed(f"cancelled {len(going)} run(s)" if going else "nothing to cancel: no run goes on", tuple(going))

    def _may_write(self, project: RegisteredProject, login: str) -> bool:
        """What GitHub says, which calls people members who may only read; True where nobody can ask it."""
        github = self._server.github
        if project.provider != "github" or not github.may_report(project):
            return True
        return may_write(github.client(project), project.repository, login)

    def _approve(
        self, project: RegisteredProject, command: Command, runs: list[dg.DagsterRun], key: str, make: Make
    ) -> Obeyed:
        sha = (command.argument or "").strip().lower()
        # Without the whole commit, somebody could push another one just before the approval arrives: one whose id
        # begins alike takes seconds to make.
        if not _SHA.fullmatch(sha):
            return Obeyed("name the commit you have looked at, all of its id: /maestro approve SHA")
        newest = next(_untrusted(runs), None)
        if newest is None:
            return Obeyed("nothing to approve: no run of this pull request is untrusted")
        if newest.tags[PARTITION_TAG] != sha:
            return Obeyed(f"the pull request stands at {newest.tags[PARTITION_TAG][:12]} by now, not at {sha[:12]}")
        if not self._may_write(project, command.author):
            return Obeyed(f"{command.author} may not write to {project.repository}, so cannot vouch for a commit")
        asked = asked_again(newest, key, trusted=True)
        loaded = self._server.workflow(project, asked.workflow_sha)
        return _told(make(project, loaded, asked), f"trusted by {command.author}")


def asked_again(run: dg.DagsterRun, delivery: str, *, trusted: bool) -> AskedRun:
    """The same run, asked for by another delivery.

    Raises:
        InputError: it is a run of no revision.
    """
    sha = run.tags.get(PARTITION_TAG)
    if not sha:
        raise InputError(f"run {run.run_id} names no revision", next_step="start it from Dagster's UI")
    unfinished = run.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    earlier = (run.run_id, *(one for one in run.tags.get(EARLIER_TAG, "").split(",") if one))
    number = run.tags.get(PULL_REQUEST_TAG)
    same_trust = trusted == (UNTRUSTED_TAG not in run.tags)
    return AskedRun(
        delivery=delivery,
        sha=sha,
        workflow_sha=run.tags.get(WORKFLOW_REVISION_TAG) or sha,
        branch=run.tags.get(BRANCH_TAG),
        base=run.tags.get(BASE_TAG),
        trusted=trusted,
        pull_request=int(number) if number else None,
        author=run.tags.get(AUTHOR_TAG, ""),
        # What an untrusted run has left behind is no beginning for a trusted one.
        resumes=Resumption(earlier, run.root_run_id or run.run_id) if unfinished and same_trust else None,
    )


def _untrusted(runs: list[dg.DagsterRun]) -> Iterator[dg.DagsterRun]:
    return (run for run in runs if UNTRUSTED_TAG in run.tags)


def _told(made: MadeRun | None, what: str) -> Obeyed:
    if made is None:
        return Obeyed(f"{what}: every step is left out")
    return Obeyed(what, (made.run.run_id,))
