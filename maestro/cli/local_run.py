"""Carries out a plan in this process and tells a ``Progress`` what happens."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from maestro.cli.log_tail import LogTail
from maestro.cli.prepare import Prepared
from maestro.cli.progress import Progress
from maestro.cli.tracker import Change, Tracker
from maestro.runs import RunState, RunView, StepView

if TYPE_CHECKING:
    from maestro_defs.local import Resumption

_ENDED: dict[str, RunState] = {"SUCCESS": "succeeded", "CANCELED": "cancelled"}
EXIT_CODES: dict[RunState, int] = {"succeeded": 0, "cancelled": 130}


@dataclass(frozen=True, slots=True)
class Settings:
    """How a plan is carried out.

    Args:
        max_concurrent: steps at once; the profile's when None.
        stream: whether lines of steps are wanted while they run.
        redo, assume_done: for a resumed run, steps with effects nobody can vouch for.
    """

    max_concurrent: int | None = None
    stream: bool = False
    resumes: Resumption | None = None
    redo: Sequence[str] = ()
    assume_done: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended."""

    view: RunView
    tracker: Tracker

    @property
    def exit_code(self) -> int:
        """0, 1 or 130."""
        return EXIT_CODES.get(self.view.state, 1)


def carry_out(ready: Prepared, title: str, settings: Settings, progress: Progress) -> Ended:
    """Runs the plan to its end.

    Raises:
        MaestroError: Dagster's storage cannot be used.
    """
    # What is imported from here on is a hundred thousand objects that all stay.
    gc.disable()
    from maestro_defs.compiler import op_names
    from maestro_defs.local import LocalRequest, start_run
    from maestro_defs.source import Checkout, Source
    from maestro_defs.step_logs import StepLogs

    gc.freeze()
    # Dagster logs what its events say as well; people get the events.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    opened, session = ready.opened, ready.session
    profile = opened.profile
    if settings.max_concurrent is not None:
        limited = profile.settings.model_copy(update={"max_concurrent": settings.max_concurrent})
        profile = replace(profile, settings=limited)
    source = Source(opened.project, session.project_name, profile, opened.loaded, ready.graph, opened.registry)
    request = LocalRequest(
        revision=ready.revision.id,
        selection=ready.plan.selection,
        params=ready.params,
        here=Checkout(ready.revision, session.workspace),
        base=ready.asked.base,
        resumes=settings.resumes,
        redo=settings.redo,
        assume_done=settings.assume_done,
    )
    with start_run(source, request) as run:
        logs = StepLogs(run.instance, run.run_id)
        keys = {name: key for name, key in op_names(ready.graph).items() if name in ready.plan.selection}
        tracker = Tracker(
            names={key: name for name, key in keys.items()},
            view=_first_view(ready, run.run_id, settings),
            logs={name: logs.path(key) for name, key in keys.items()},
        )
        gc.enable()
        _follow(run.events, tracker, title, settings, progress)
        view = tracker.finish(_ENDED.get(run.status.value, "failed"))
    progress.end(view)
    return Ended(view, tracker)


def _first_view(ready: Prepared, run_id: str, settings: Settings) -> RunView:
    now = time.time()
    return RunView(
        run_id=run_id,
        project=ready.plan.project,
        workflow=ready.plan.workflow,
        revision=ready.revision.id,
        state="running",
        steps=tuple(_first_step(step.node.name, step.action, step.reason) for step in ready.plan.steps),
        resumes=settings.resumes.earlier[0] if settings.resumes else None,
        created=now,
        started=now,
        params=dict(ready.params),
    )


def _first_step(name: str, action: str, reason: str) -> StepView:
    return StepView(name, "skipped", reason) if action == "skip" else StepView(name, "waiting")


def _follow(events: Any, tracker: Tracker, title: str, settings: Settings, progress: Progress) -> None:
    progress.start(title, tracker.view)
    for step in tracker.steps:
        if step.state == "skipped":
            progress.change(Change(step=step))
    tail = LogTail(lambda name, text: progress.output(tracker.step(name), text)) if settings.stream else None
    try:
        for event in events:
            change = tracker.take(event)
            if change is None:
                continue
            step = change.step
            if tail is not None and step is not None:
                path = tracker.log_path(step.step)
                if step.state == "running" and path is not None:
                    tail.start(step.step, path)
                elif step.ended is not None:
                    tail.finish(step.step)
            progress.change(change)
    finally:
        if tail is not None:
            tail.close()
