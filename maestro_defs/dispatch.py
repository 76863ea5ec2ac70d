"""From a delivery to its run: what was asked for, at which revision, and why nothing is done when nothing is.

Whoever calls it, and however often: the run's id follows from delivery, workflow and revision, so there is one run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
from dagster._core.run_coordinator import SubmitRunContext

from maestro.artifacts import ArtifactStoreError
from maestro.errors import InputError, MaestroError
from maestro.events import read_event
from maestro.github.errors import CredentialsError, LimitedError, UnavailableError
from maestro.inbox import Delivery, Outcome
from maestro.inbox.errors import InboxUnavailableError
from maestro.inbox.outcomes import State
from maestro.mirror import GoneError, NoBaseError, UnreachableError
from maestro.reporting.model import ReportState
from maestro.server.leases import LeaseLostError
from maestro.server.patience import is_away
from maestro.server.projects import RegisteredProject
from maestro.triggers import Command, Nothing, Settled, Wanted, refusal, settled, wanted
from maestro.triggers.model import DEFAULT_REF
from maestro.workflow.load import LoadedWorkflow
from maestro_defs.commands import Commands, Make
from maestro_defs.group_order import superseded_by
from maestro_defs.making import AskedRun, MadeRun, make_run
from maestro_defs.run_moves import CANCELLED, cancel_in_queue
from maestro_defs.server import Server, loaded_from

ATTEMPTS = 10
_PASSING = (
    UnreachableError,
    ArtifactStoreError,
    InboxUnavailableError,
    LeaseLostError,
    CredentialsError,
    LimitedError,
    UnavailableError,
)
_FIRST_WAIT = 2.0
_LONGEST_WAIT = 900.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the sender of a delivery is to hear of it, beside what its run will say itself.

    Args:
        delivery: as ``key_of`` names it.
        state: ``invalid``: the workflow cannot be run; ``queued``: a run was made; ``succeeded``: nothing is to do.
    """

    delivery: str
    project: RegisteredProject
    wanted: Settled
    state: ReportState
    workflow: str = ""
    reason: str = ""
    run: dg.DagsterRun | None = None
    error: MaestroError | None = None


class Dispatcher:
    """Takes deliveries.

    Args:
        tell: is told what the sender of a delivery should hear at once.
    """

    def __init__(self, server: Server, instance: dg.DagsterInstance, tell: Callable[[Told], None]) -> None:
        self._server = server
        self._instance = instance
        self._tell = tell
        self._commands = Commands(server, instance)

    def take(self, delivery: Delivery, attempts: int = 0) -> Outcome:
        """What becomes of ``delivery``; never raises for what is wrong with it.

        Args:
            attempts: made before.
        """
        try:
            return self._take(delivery, attempts)
        except MaestroError as error:
            if passes(error):
                return self._later(delivery, attempts, error)
            return _outcome(delivery, "dead", str(error), attempts)
        except Exception as error:  # noqa: BLE001 - a defect, or a storage that does not answer; never a lost delivery
            return self._later(delivery, attempts, error)

    def named(self, delivery: Delivery) -> Delivery:
        """The delivery with its project, where that was registered after the gateway had last looked.

        Raises:
            MaestroError, sqlalchemy.exc.SQLAlchemyError: the registry does not answer.
        """
        if delivery.project:
            return delivery
        try:
            event = read_event(delivery.provider, delivery.event, delivery.payload)
        except (MaestroError, ValueError):
            return delivery  # Which is told when it is taken.
        project = self._server.projects.by_repository(delivery.provider, getattr(event, "repository", ""))
        return delivery if project is None else replace(delivery, project=project.name)

    def _take(self, delivery: Delivery, attempts: int) -> Outcome:
        try:
            payload = delivery.payload
        except ValueError as error:
            return _outcome(delivery, "dead", f"its form cannot be read: {error}", attempts)
        event = read_event(delivery.provider, delivery.event, payload)
        named = getattr(event, "repository", "")
        asked = wanted(event)
        if isinstance(asked, Nothing):
            return _outcome(delivery, "nothing", asked.reason, attempts)
        projects = self._server.projects
        # A project that was registered after its delivery had come is found by its repository.
        project = projects.find(delivery.project) or projects.by_repository(delivery.provider, named)
        if project is None:
            named = delivery.project or named or "this repository"
            return _outcome(
                delivery, "dead", f"no project delivers {named}; register it: maestro projects add", attempts
            )
        if isinstance(asked, Command):
            return self._command(delivery, project, asked, attempts)
        if asked.event == "rerequested":
            return self._again(delivery, project, asked, attempts)
        return self._start(delivery, project, asked, attempts)

    def _again(self, delivery: Delivery, project: RegisteredProject, asked: Wanted, attempts: int) -> Outcome:
        """A button on a check: the run it was of, else the newest of the revision; as trusted as that was."""
        there = self._commands.runs_at(project, asked.sha or "")
        runs = [run for run in there if run.run_id == asked.rerun_of] or there[:1]
        if not runs:
            self._refuse_foreign(project, asked)
            return self._start(delivery, project, asked, attempts)
        done = self._commands.again(project, runs[0], key_of(delivery), self._maker(delivery, attempts))
        return _outcome(delivery, "started" if done.runs else "nothing", done.said, attempts, *done.runs)

    def _refuse_foreign(self, project: RegisteredProject, asked: Wanted) -> None:
        """A commit nobody has run before must be the repository's own: GitHub hands out commits of forks as well."""
        mirror = self._server.mirror(project)
        if asked.trusted and asked.sha is not None:
            tip = self._server.tip(project, asked.ref) if asked.ref else ""
            mirror.ensure(asked.sha)
            if not tip or mirror.merge_base(tip, asked.sha) != asked.sha:
                raise InputError(
                    f"commit {asked.sha[:12]} is on no branch of {project.repository}, so nobody vouches for it",
                    next_step="push it to a branch",
                )

    def _start(self, delivery: Delivery, project: RegisteredProject, wanted: Wanted, attempts: int) -> Outcome:
        mirror = self._server.mirror(project)
        if wanted.sha is not None:
            mirror.ensure(wanted.sha, wanted.ref)
            if wanted.tag is not None:
                # What a tag was pushed as may be an object of its own, which is no revision.
                commit = mirror.peel(wanted.sha)
                same = wanted.workflow_sha == wanted.sha
                wanted = replace(wanted, sha=commit, workflow_sha=commit if same else wanted.workflow_sha)
        if wanted.branch is None and wanted.ref == DEFAULT_REF:
            wanted = replace(wanted, branch=self._server.default_branch(project))
        asked = settled(wanted, lambda ref: self._server.tip(project, ref))
        if asked.workflow_sha != asked.sha:
            mirror.ensure(asked.workflow_sha)
        text = mirror.read(asked.workflow_sha, project.workflow_file)
        if text is None:
            return _outcome(
                delivery, "nothing", f"revision {asked.workflow_sha[:12]} has no {project.workflow_file}", attempts
            )
        told = partial(Told, key_of(delivery), project, asked)
        try:
            loaded = loaded_from(text, project.workflow_file)
            base = self._base(project, asked)
            refused = refusal(loaded.workflow.on, asked, lambda: self._changed(project, base, asked.sha))
            if refused is not None:
                return _outcome(delivery, "nothing", refused, attempts)
            made = self._maker(delivery, attempts)(project, loaded, asked_run(delivery, asked, base))
        except MaestroError as error:
            if passes(error):
                raise
            self._tell(told("invalid", reason=str(error), error=error))
            return _outcome(delivery, "dead", str(error), attempts)
        name = loaded.workflow.name
        if made is None:
            self._tell(told("succeeded", workflow=name, reason="there is nothing to do: every step is left out"))
            return _outcome(delivery, "nothing", "every step is left out", attempts)
        self._tell(told("queued", workflow=name, run=made.run))
        return _outcome(delivery, "started", asked.title or asked.event, attempts, made.run.run_id)

    def _base(self, project: RegisteredProject, asked: Settled) -> str | None:
        """The commit that is compared with, when it can be had; else None: the branch's own beginning."""
        mirror = self._server.mirror(project)
        base = asked.base
        if base is None and asked.base_branch is not None:
            base = self._server.tip(project, f"refs/heads/{asked.base_branch}")
        if base is None:
            return None
        try:
            mirror.ensure(base)
        except GoneError:
            return None
        return base if asked.base_branch is None else mirror.merge_base(base, asked.sha)

    def _maker(self, delivery: Delivery, attempts: int) -> Make:
        """Makes runs and puts them into the queue, unless they are there already."""

        def make(project: RegisteredProject, loaded: LoadedWorkflow, asked: AskedRun) -> MadeRun | None:
            asked = replace(asked, arrival=delivery.id)
            made = make_run(self._server, self._instance, project, loaded, asked)
            if made is None or made.run.status != dg.DagsterRunStatus.NOT_STARTED:
                return made
            by = superseded_by(self._instance, made.run) if attempts else None
            if by is not None:
                cancel_in_queue(self._instance, made.run, f"{CANCELLED}: {by}.")
                return made
            # Not `instance.submit_run`: it wants a workspace, which the coordinator does not use.
            context = SubmitRunContext(made.run, workspace=None)  # type: ignore[arg-type]  # see above
            self._instance.run_coordinator.submit_run(context)
            return made

        return make

    def _changed(self, project: RegisteredProject, base: str | None, sha: str) -> list[str] | None:
        """Paths that differ from the base; None when that cannot be known."""
        mirror = self._server.mirror(project)
        if base is None:
            default = self._server.tip(project, DEFAULT_REF)
            base = mirror.merge_base(default, sha) if default != sha else None
        try:
            return mirror.changed(base, sha)
        except NoBaseError:
            return None

    def _command(self, delivery: Delivery, project: RegisteredProject, asked: Command, attempts: int) -> Outcome:
        done = self._commands.obey(delivery, project, asked, self._maker(delivery, attempts))
        return _outcome(delivery, "started" if done.runs else "nothing", done.said, attempts, *done.runs)

    def _later(self, delivery: Delivery, attempts: int, error: Exception) -> Outcome:
        attempts += 1
        reason = str(error) or type(error).__name__
        if attempts >= ATTEMPTS:
            return _outcome(delivery, "dead", f"{reason}\n(given up after {attempts} attempts)", attempts)
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempts - 1))
        again = datetime.now(UTC) + timedelta(seconds=wait)
        return Outcome(delivery.id, "waiting", reason, (), attempts, datetime.now(UTC), again)


def passes(error: MaestroError) -> bool:
    """Whether ``error`` is of something that does not answer now, so that trying again may help."""
    return isinstance(error, _PASSING) or is_away(error)


def asked_run(delivery: Delivery, asked: Settled, base: str | None) -> AskedRun:
    """The run a delivery asks for."""
    return AskedRun(
        delivery=key_of(delivery),
        sha=asked.sha,
        workflow_sha=asked.workflow_sha,
        branch=asked.branch,
        base=base,
        trusted=asked.trusted,
        pull_request=asked.pull_request,
        author=asked.author,
        trace=delivery.trace,
    )


def key_of(delivery: Delivery) -> str:
    """Names a delivery among those of all providers."""
    return f"{delivery.provider}:{delivery.delivery}"


def _outcome(delivery: Delivery, state: State, reason: str, attempts: int, *runs: str) -> Outcome:
    return Outcome(delivery.id, state, reason, tuple(runs), attempts + 1, datetime.now(UTC), None)
