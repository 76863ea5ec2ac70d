"""Resumes an earlier run on this machine: what it left to do, at its revision, with its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro.artifacts import RecordStore
from maestro.cli.options import GlobalOptions
from maestro.cli.prepare import Asked, Opened, open_project, open_store, prepared
from maestro.cli.running import Shown, refuse_missing, run_prepared
from maestro.cli.runs_source import open_runs
from maestro.errors import InputError
from maestro.execution.expand import expanded
from maestro.execution.parameters import complete
from maestro.execution.selection import select
from maestro.runs import RunView
from maestro.runs.tags import BASE_TAG, EARLIER_TAG
from maestro.workflow.expressions import Expressions
from maestro.workflow.graph import Graph

if TYPE_CHECKING:
    from maestro_defs.local_runs import LocalRuns


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """The run to be resumed.

    Args:
        chain: the run and those it resumes, the nearest first.
        base: what its ``changed()`` compared with.
    """

    chain: tuple[RunView, ...]
    root_run_id: str
    base: str | None

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the chain."""
        return tuple(view.run_id for view in self.chain)


def resume_here(
    options: GlobalOptions,
    run: str,
    redo: Sequence[str],
    assume_done: Sequence[str],
    shown: Shown,
    max_concurrent: int | None,
) -> int:
    """Makes a run that resumes ``run``; the exit code."""
    from maestro.cli.local_run import Settings

    opened = open_project(options)
    with open_runs(options, None) as runs:
        from maestro_defs.local import Resumption
        from maestro_defs.local_runs import LocalRuns

        assert isinstance(runs, LocalRuns)
        earlier = read_earlier(runs, run)
    last = earlier.chain[0]
    params = complete(opened.loaded.workflow, dict(last.params or {}))
    graph = expanded(opened.loaded, params, Expressions())
    words = unfinished(opened, graph, earlier)
    here = opened.current_revision().id == last.revision
    asked = Asked(
        words=words,
        only=True,
        revision=None if here else last.revision,
        base=earlier.base,
        params=params,
        earlier=earlier.ids,
    )
    settings = Settings(
        max_concurrent=max_concurrent,
        stream=shown.streams,
        recorded=shown.as_json,
        resumes=Resumption(earlier.ids, earlier.root_run_id),
        redo=_nodes(graph, redo),
        assume_done=_nodes(graph, assume_done),
    )
    with prepared(opened, asked) as ready:
        refuse_missing(ready)
        return run_prepared(ready, shown, settings)


def read_earlier(runs: LocalRuns, run: str) -> EarlierRun:
    """Reads the run to be resumed; one whose process is gone is marked as failed first.

    Raises:
        InputError: it goes on, it succeeded, or it names no revision.
    """
    view = runs.get(run)
    refuse_resumption(view)
    instance = runs.instance
    record = instance.get_run_by_id(view.run_id)
    assert record is not None
    if not record.is_finished:
        instance.report_run_failed(record, message="Its process ended without a word.")
    ids = [one for one in record.tags.get(EARLIER_TAG, "").split(",") if one]
    chain = (view, *(runs.get(one) for one in ids))
    return EarlierRun(chain, record.root_run_id or record.run_id, record.tags.get(BASE_TAG))


def refuse_resumption(view: RunView) -> None:
    """Refuses what cannot be resumed.

    Raises:
        InputError: it goes on, it succeeded, or it names no revision.
    """
    short = view.run_id[:8]
    if not view.finished:
        raise InputError(f"run {short} is still {view.state}", next_step=f"stop it first: maestro cancel {short}")
    if view.state == "succeeded":
        raise InputError(
            f"run {short} succeeded, so there is nothing to resume", next_step="start a new one: maestro run"
        )
    if not view.revision:
        raise InputError(f"run {short} names no revision", next_step="start a new one: maestro run")


def unfinished(opened: Opened, graph: Graph, earlier: EarlierRun) -> list[str]:
    """Names of the nodes to do: those without a result that counts, what waits for them, and ``finally`` steps.

    Raises:
        InputError: the workflow has none of the run's steps any more.
    """
    records = RecordStore(open_store(opened.project, opened.profile))
    known: dict[str, bool | None] = {}
    for view in earlier.chain:
        results = {record.step: record.passed for record in records.of_run(view.run_id)}
        for step in view.steps:
            # A step that failed though the run went on is done; so says its state, not its record. The newest run that
            # got as far as the step decides.
            passed = True if step.state == "warned" else results.get(step.step)
            if known.get(step.step) is None:
                known[step.step] = passed
    there = [name for name in graph.nodes if name in known]
    if not there:
        raise InputError(
            f"the workflow has none of the steps of run {earlier.ids[0][:8]} any more",
            next_step="start a new one: maestro run",
        )
    todo = [name for name in there if not known[name] or graph[name].final]
    again = graph.descendants(todo)
    return [name for name in there if name in again]


def _nodes(graph: Graph, words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(select(graph, words, only=True))) if words else ()
