"""Starts and resumes runs on a server, and shows them as runs here are shown."""

from __future__ import annotations

from collections.abc import Sequence

from maestro.cli.options import GlobalOptions
from maestro.cli.plan import title
from maestro.cli.prepare import Asked, open_project, prepared
from maestro.cli.progress import Started
from maestro.cli.running import Shown
from maestro.cli.runs_source import open_runs
from maestro.cli.summary import show_summary
from maestro.cli.terminal import Terminal
from maestro.cli.tracker import Change
from maestro.errors import InputError
from maestro.runs import RunView, StepView
from maestro.runs.client import LaunchRequest, Runs
from maestro.runs.fold import COMPENSATION
from maestro.runs.resume import unfinished

_EXIT_CODES = {"succeeded": 0, "cancelled": 130}


def run_remotely(options: GlobalOptions, asked: Asked, shown: Shown, url: str) -> int:
    """Plans here, runs there; the exit code."""
    opened = open_project(options)
    with prepared(opened, asked) as ready:
        if ready.revision.dirty:
            raise InputError(
                "the checkout has uncommitted changes, which the server does not have",
                next_step="commit and push them, or name a commit with --revision",
            )
        if not ready.plan.selection:
            shown.terminal().line(f"{title(ready)}: nothing to run, every step is skipped")
            return 0
        request = LaunchRequest(
            project=ready.plan.project,
            workflow=ready.plan.workflow,
            revision=ready.revision.id,
            selection=ready.plan.selection,
            params=dict(ready.params),
            base=asked.base,
        )
        heading = title(ready)
    with open_runs(options, url) as runs:
        return _follow(runs, runs.launch(request), heading, request.revision, request.selection, shown)


def retry_remotely(
    options: GlobalOptions, run: str, redo: Sequence[str], assume_done: Sequence[str], shown: Shown, url: str
) -> int:
    """Resumes a run on the server; the exit code."""
    from maestro.cli.resuming import refuse_resumption

    with open_runs(options, url) as runs:
        view = runs.get(run)
        refuse_resumption(view)
        request = LaunchRequest(
            project=view.project,
            workflow=view.workflow,
            revision=view.revision,
            selection=unfinished(view),
            params=dict(view.params or {}),
            resumes=view.run_id,
            redo=tuple(redo),
            assume_done=tuple(assume_done),
        )
        heading = f"{view.workflow} of {view.project} at {view.revision[:12]}, resuming {view.run_id[:8]}"
        return _follow(runs, runs.launch(request), heading, request.revision, request.selection, shown)


def _follow(runs: Runs, run_id: str, heading: str, revision: str, selection: Sequence[str], shown: Shown) -> int:
    terminal = shown.terminal()
    progress = shown.progress(terminal)
    steps = {name: StepView(name, "waiting") for name in selection}
    progress.start(Started(heading, run_id, revision, tuple(steps.values())))
    last: RunView | None = None
    told = 0
    try:
        for news in runs.follow(run_id, logs=shown.streams):
            if news.text is not None and news.step is not None:
                progress.output(news.step, news.text)
            elif news.step is not None:
                if steps.get(news.step.step) != news.step:
                    steps[news.step.step] = news.step
                    progress.change(Change(step=news.step))
            elif news.run is not None:
                last = news.run
                for line in last.compensations[told:]:
                    progress.change(Change(note=line.removeprefix(COMPENSATION), kind="compensation"))
                told = len(last.compensations)
    except KeyboardInterrupt:
        progress.change(Change(note="asking the server to cancel the run", kind="stopping"))
        last = runs.cancel(run_id)
    view = last if last is not None and last.finished else runs.get(run_id)
    progress.end(view)
    if not shown.json_lines:
        show_summary(terminal, view, lambda step, lines: _tail(runs, run_id, step, lines))
    if shown.as_json:
        Terminal(shown.options).json(view.to_json())
    return _EXIT_CODES.get(view.state, 1)


def _tail(runs: Runs, run_id: str, step: str, lines: int) -> Sequence[str]:
    return b"".join(runs.log(run_id, step)).decode("utf-8", "replace").splitlines()[-lines:]
