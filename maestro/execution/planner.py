"""What a run would do, and why: which steps run, are skipped, come from the cache; and what is missing for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from maestro.artifacts import StepRecord
from maestro.errors import InputError
from maestro.execution.last_keys import LastKeys
from maestro.execution.plan_errors import of_step, together
from maestro.execution.resolve import Resolved
from maestro.execution.reuse import reused
from maestro.execution.selection import select
from maestro.execution.session import RunSession
from maestro.steps import Forecast, Requirement
from maestro.workflow.graph import Node

Action = Literal["run", "cached", "skip", "decide"]

BUBBLEWRAP = Requirement("bwrap", "apt-get install bubblewrap")


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What would happen to one node.

    Args:
        action: ``run``; ``cached``: its result is restored; ``skip``: left out; ``decide``: its ``when`` is decided
            during the run.
        reason: why, for people.
        does: what it would do, one sentence of its kind.
        missing_tools: tools it needs that are not there.
        missing_secrets: names of secrets it needs that are not there.
        made_by_run: for ``cached``, the run that made the result.
        forecast: what it is expected to cost; None: nothing.
    """

    node: Node
    action: Action
    reason: str
    does: str
    missing_tools: tuple[Requirement, ...] = ()
    missing_secrets: tuple[str, ...] = ()
    made_by_run: str | None = None
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do.

    Args:
        steps: in an order in which they could run; steps that were not selected are not among them.
        params: every parameter's value.
    """

    project: str
    workflow: str
    revision: str
    params: Mapping[str, Any]
    steps: tuple[PlannedStep, ...]

    @property
    def selection(self) -> tuple[str, ...]:
        """Names of the nodes a run is launched with."""
        return tuple(step.node.name for step in self.steps if step.action != "skip")

    @property
    def cached(self) -> tuple[str, ...]:
        """Names of the nodes whose results are restored."""
        return tuple(step.node.name for step in self.steps if step.action == "cached")

    @property
    def missing(self) -> list[str]:
        """What must be got before the run can succeed, one sentence each; empty when nothing is missing."""
        tools = {
            requirement.tool: f"{requirement.tool} is missing: {requirement.install}"
            for step in self.steps
            for requirement in step.missing_tools
        }
        secrets = {name: f"secret '{name}' is not set" for step in self.steps for name in step.missing_secrets}
        return [*tools.values(), *secrets.values()]


def make_plan(session: RunSession, words: Sequence[str] = (), *, only: bool = False) -> Plan:
    """Plans a run of the steps ``words`` choose.

    Raises:
        InputError: a word names nothing, an expression fails, or a kind finds nothing to work on.
        PlanErrors: that is so of several steps.
    """
    planner = _Planner(session, select(session.graph, words, only=only))
    steps: list[PlannedStep] = []
    errors: list[InputError] = []
    for node in session.graph:
        if node.name in planner.selected:
            try:
                steps.append(planner.plan(node))
            except InputError as error:
                errors.append(error)
                planner.failed(node)
    if errors:
        raise together(errors)
    return Plan(
        session.project_name,
        session.loaded.workflow.name,
        session.revision.id,
        session.request.params,
        tuple(steps),
    )


class _Planner:
    def __init__(self, session: RunSession, selected: frozenset[str]) -> None:
        self.selected = selected
        self._session = session
        self._known: dict[str, StepRecord] = {}
        self._open: set[str] = set()
        self._last = LastKeys(session.project, session.project_name)

    def failed(self, node: Node) -> None:
        """It could not be planned; what waits for it is, as far as that is known without it."""
        self._open.add(node.name)

    def plan(self, node: Node) -> PlannedStep:
        session = self._session
        kind = session.registry.get(node.step.run)
        waits = [name for name in node.upstream if name in self._open]
        scope = session.scope(node)
        if session.resolver.when_needs_steps(node) and (node.final or waits):
            self._open.add(node.name)
            return PlannedStep(node, "decide", "its when is decided once other steps are done", kind.summary)
        reason = session.resolver.wanted(node, scope)
        if reason:
            return PlannedStep(node, "skip", reason, kind.summary)
        if session.resolver.needs_steps(node) and (waits or node.final):
            self._open.add(node.name)
            return PlannedStep(node, "run", f"after {', '.join(waits) or 'all other steps'}", kind.summary)
        return self._plan_resolved(node, scope, waits)

    def _plan_resolved(self, node: Node, scope: Mapping[str, Any], waits: Sequence[str]) -> PlannedStep:
        session = self._session
        try:
            upstream = self._records(node.upstream)
            before = self._records(session.graph.ancestors([node.name]) - {node.name})
            resolved = session.resolver.resolve(node, scope, upstream, session.plan_context(node.name), before=before)
        except InputError as error:
            # What a step works on may be made by a step before it; only then is it too early to complain.
            kind = session.registry.get(node.step.run)
            if not waits or kind.final_word(error):
                raise
            self._open.add(node.name)
            return PlannedStep(node, "run", f"after {', '.join(waits)}", kind.summary)
        does = resolved.kind.describe(resolved.params)
        record = session.records.cached(resolved.cache_key) if resolved.cache_key and not waits else None
        if record is not None:
            # As the steps after it will see it.
            self._known[node.name] = reused(record, resolved.kind)
            return PlannedStep(
                node, "cached", "nothing it depends on has changed", does, made_by_run=record.made_by_run
            )
        self._open.add(node.name)
        return PlannedStep(
            node,
            "run",
            self._why(resolved, waits),
            does,
            missing_tools=self._missing_tools(resolved),
            missing_secrets=self._missing_secrets(node),
            forecast=self._forecast(resolved),
        )

    def _forecast(self, resolved: Resolved) -> Forecast | None:
        session, node = self._session, resolved.node
        with of_step(session.loaded, node):
            return resolved.kind.forecast(session.plan_context(node.name), resolved.params)

    def _records(self, names: Iterable[str]) -> dict[str, StepRecord]:
        found: dict[str, StepRecord] = {}
        for name in names:
            record = self._known.get(name)
            if record is None and name not in self.selected:
                record = self._session.record_of(name)
            if record is not None:
                found[name] = record
        return found

    def _why(self, resolved: Resolved, waits: Sequence[str]) -> str:
        if resolved.uncached_because:
            return resolved.uncached_because
        if waits:
            shown = ", ".join(waits[:3]) + (f" and {len(waits) - 3} more" if len(waits) > 3 else "")
            return f"after {shown}"
        return self._last.what_changed(resolved, self._session.revision)

    def _missing_tools(self, resolved: Resolved) -> tuple[Requirement, ...]:
        needed = [*resolved.requirements, *([BUBBLEWRAP] if resolved.node.step.sandbox else [])]
        return tuple(self._session.tools.missing(needed))

    def _missing_secrets(self, node: Node) -> tuple[str, ...]:
        named = node.step.secrets
        names = named if isinstance(named, list) else list(named.values())
        return tuple(name for name in names if not self._session.secret_reader.available(name))
