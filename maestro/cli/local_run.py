"""Carries out a plan in this process and tells a ``Progress`` what happens."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from maestro.cli.crossed import look
from maestro.cli.log_tail import LogTail
from maestro.cli.prepare import Prepared
from maestro.cli.progress import Progress, Started
from maestro.cli.tracker import Change, Tracker
from maestro.runs import RunState, RunView, StepView

if TYPE_CHECKING:
    from dagster import DagsterEvent

    from maestro_defs.local import Resumption

EXIT_CODES: dict[RunState, int] = {"succeeded": 0, "cancelled": 130}


@dataclass(frozen=True, slots=True)
class Settings:
    """How a plan is carried out.

    Args:
        max_concurrent: steps at once; the profile's when None.
        stream: whether lines of steps are wanted while they run.
        recorded: whether the run is read again at its end, exactly as ``maestro status`` reads it.
        redo, assume_done: for a resumed run, steps with effects nobody can vouch for.
    """

    max_concurrent: int | None = None
    stream: bool = False
    recorded: bool = False
    resumes: Resumption | None = None
    redo: Sequence[str] = ()
    assume_done: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended.

    Args:
        skipped: steps the plan left out; they are no part of the run.
        budgets: sentences about budgets that passed a threshold meanwhile.
    """

    view: RunView
    skipped: tuple[StepView, ...]
    tracker: Tracker
    budgets: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, 1 or 130."""
        return EXIT_CODES.get(self.view.state, 1)


def carry_out(ready: Prepared, title: str, settings: Settings, progress: Progress) -> Ended:
    """Runs the plan to its end.

    Raises:
        MaestroError: Dagster's storage cannot be used.
    """
    # What is imported and compiled from here on is a hundred thousand objects that all stay.
    gc.disable()
    from maestro_defs.lean_imports import lean_imports

    with lean_imports():
        from maestro_defs.local import LocalRequest, start_run
        from maestro_defs.names import op_names
        from maestro_defs.step_logs import StepLogs
        from resources.delivery import Checkout, Source

    # Dagster logs what its events say as well; people get the events.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    opened, session = ready.opened, ready.session
    skipped = tuple(
        StepView(step.node.name, "skipped", step.reason) for step in ready.plan.steps if step.action == "skip"
    )
    profile = opened.profile
    if settings.max_concurrent is not None:
        limited = profile.settings.model_copy(update={"max_concurrent": settings.max_concurrent})
        profile = replace(profile, settings=limited)
    source = Source(opened.project, session.project_name, profile, opened.loaded, ready.graph, opened.registry)
    request = LocalRequest(
        revision=ready.revision.id,
        selection=ready.plan.selection,
        params=ready.params,
        here=Checkout(ready.revision, session.workspace) if ready.asked.revision is None else None,
        base=ready.asked.base,
        resumes=settings.resumes,
        redo=settings.redo,
        assume_done=settings.assume_done,
        cached=ready.plan.cached,
    )
    before = look(opened.project.home, session.environ)
    with start_run(source, request) as run:
        logs = StepLogs(run.instance, run.run_id)
        keys = op_names(ready.graph)
        names = {name: keys[name] for name in ready.plan.selection}
        tracker = Tracker(run.run_id, names, {name: logs.path(key) for name, key in names.items()})
        gc.freeze()
        gc.enable()
        progress.start(Started(title, run.run_id, ready.revision.id, tracker.steps))
        for step in skipped:
            progress.change(Change(step=step))
        _follow(run.events, tracker, settings, progress)
        view = tracker.finish(run.instance, recorded=settings.recorded)
    progress.end(view)
    root = settings.resumes.root_run_id if settings.resumes else run.run_id
    return Ended(view, skipped, tracker, before.told(source.tenant, source.project_name, root))


def _follow(events: Iterable[DagsterEvent], tracker: Tracker, settings: Settings, progress: Progress) -> None:
    tail = LogTail(lambda name, text: progress.output(tracker.step(name), text)) if settings.stream else None
    try:
        for event in events:
            change = tracker.take(event, time.time())
            if change is None:
                continue
            step = change.step
            if tail is not None and step is not None:
                path = tracker.logs[step.step]
                if step.state == "running" and path is not None:
                    tail.start(step.step, path)
                elif step.ended is not None:
                    tail.finish(step.step)
            progress.change(change)
    finally:
        if tail is not None:
            tail.close()
