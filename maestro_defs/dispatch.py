"""From a delivery to its run: what was asked for, at which revision, and why nothing is done when nothing is.

Whoever calls it, and however often: the run's id follows from delivery, workflow and revision, so there is one run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.run_coordinator import SubmitRunContext

from maestro.errors import MaestroError
from maestro.events import EventError, read_event
from maestro.inbox import Delivery, Outcome
from maestro.mirror import GoneError, UnreachableError
from maestro.runs.tags import DELIVERY_TAG
from maestro.server.projects import RegisteredProject
from maestro.triggers import Command, Nothing, Wanted, refusal, wanted
from maestro.workflow.load import LoadedWorkflow
from maestro_defs.commands import Commands
from maestro_defs.making import AskedRun, MadeRun, make_run, refuse_unknown_base
from maestro_defs.server import Server

ATTEMPTS = 10
_FIRST_WAIT = 2.0
_LONGEST_WAIT = 900.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the sender of a delivery is to hear of it, beside what its run will say itself.

    Args:
        state: ``invalid``: the workflow cannot be run; ``queued``: a run was made; ``nothing``: all steps are left out.
    """

    project: RegisteredProject
    wanted: Wanted
    state: str
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
        except UnreachableError as error:
            return self._later(delivery, attempts, error)
        except (EventError, GoneError) as error:
            return _outcome(delivery, "dead", str(error), attempts)
        except MaestroError as error:
            return _outcome(delivery, "dead", str(error), attempts)
        except Exception as error:  # noqa: BLE001 - a defect, or a storage that does not answer; never a lost delivery
            return self._later(delivery, attempts, error)

    def _take(self, delivery: Delivery, attempts: int) -> Outcome:
        event = read_event(delivery.provider, delivery.event, delivery.body)
        asked = wanted(event)
        if isinstance(asked, Nothing):
            return _outcome(delivery, "nothing", asked.reason, attempts)
        project = self._server.projects.find(delivery.project) if delivery.project else None
        if project is None:
            named = delivery.project or getattr(event, "repository", "") or "this repository"
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
        there = self._commands.runs_at(project, asked.sha)
        runs = [run for run in there if run.run_id == asked.rerun_of] or there[:1]
        if not runs:
            return self._start(delivery, project, asked, attempts)
        done = self._commands.again(project, runs[0], key_of(delivery), self.make)
        return _outcome(delivery, "started" if done.runs else "nothing", done.said, attempts, *done.runs)

    def _start(self, delivery: Delivery, project: RegisteredProject, asked: Wanted, attempts: int) -> Outcome:
        mirror = self._server.mirror(project)
        mirror.ensure(asked.sha, asked.ref)
        if asked.workflow_sha != asked.sha:
            mirror.ensure(asked.workflow_sha)
        if mirror.read(asked.workflow_sha, project.workflow_file) is None:
            return _outcome(
                delivery, "nothing", f"revision {asked.workflow_sha[:12]} has no {project.workflow_file}", attempts
            )
        try:
            loaded = self._server.workflow(project, asked.workflow_sha)
            base = refuse_unknown_base(self._server, project, asked.base)
            refused = refusal(loaded.workflow.on, asked, lambda: self._changed(project, base, asked.sha))
            if refused is not None:
                return _outcome(delivery, "nothing", refused, attempts)
            made = self.make(project, loaded, asked_run(delivery, asked, base))
        except UnreachableError:
            raise
        except MaestroError as error:
            self._tell(Told(project, asked, "invalid", str(error), error=error))
            return _outcome(delivery, "dead", str(error), attempts)
        if made is None:
            self._tell(Told(project, asked, "nothing", "every step is left out"))
            return _outcome(delivery, "nothing", "every step is left out", attempts)
        self._tell(Told(project, asked, "queued", run=made.run))
        return _outcome(delivery, "started", asked.title or asked.event, attempts, made.run.run_id)

    def make(self, project: RegisteredProject, loaded: LoadedWorkflow, asked: AskedRun) -> MadeRun | None:
        """Makes the run and puts it into the queue, unless it is there already.

        Raises:
            MaestroError: it cannot be planned.
        """
        made = make_run(self._server, self._instance, project, loaded, asked)
        if made is not None and made.run.status == dg.DagsterRunStatus.NOT_STARTED:
            # Not `instance.submit_run`: it wants a workspace, which the coordinator does not use.
            self._instance.run_coordinator.submit_run(SubmitRunContext(made.run, workspace=None))  # type: ignore[arg-type]
        return made

    def _changed(self, project: RegisteredProject, base: str | None, sha: str) -> list[str]:
        mirror = self._server.mirror(project)
        if base is None:
            default = project.default_branch or mirror.default_branch()
            base = mirror.git.ask("merge-base", default, sha) or ""
            if base in ("", sha):
                base = mirror.git.ask("rev-parse", "--verify", "--quiet", f"{sha}^") or ""
        return mirror.changed(base, sha) if base else list(mirror.files(sha))

    def _command(self, delivery: Delivery, project: RegisteredProject, asked: Command, attempts: int) -> Outcome:
        done = self._commands.obey(delivery, project, asked, self.make)
        return _outcome(delivery, "started" if done.runs else "nothing", done.said, attempts, *done.runs)

    def _later(self, delivery: Delivery, attempts: int, error: Exception) -> Outcome:
        attempts += 1
        reason = str(error) or type(error).__name__
        if attempts >= ATTEMPTS:
            return _outcome(delivery, "dead", f"{reason}\n(given up after {attempts} attempts)", attempts)
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempts - 1))
        again = datetime.now(UTC) + timedelta(seconds=wait)
        return Outcome(delivery.id, "waiting", reason, (), attempts, datetime.now(UTC), again)


def asked_run(delivery: Delivery, asked: Wanted, base: str | None) -> AskedRun:
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


def runs_of(instance: dg.DagsterInstance, delivery: Delivery) -> list[dg.DagsterRun]:
    """Runs a delivery has started, newest first."""
    return list(instance.get_runs(dg.RunsFilter(tags={DELIVERY_TAG: key_of(delivery)})))


def _outcome(delivery: Delivery, state: str, reason: str, attempts: int, *runs: str) -> Outcome:
    return Outcome(delivery.id, state, reason, tuple(runs), attempts + 1, datetime.now(UTC), None)
