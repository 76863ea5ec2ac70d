"""Undoes finished steps, in reverse order, when their run fails or is cancelled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from maestro.artifacts import StepRecord
from maestro.errors import MaestroError
from maestro.execution.effects import effect_key
from maestro.execution.log import StepLog
from maestro.execution.perform import Work, perform
from maestro.execution.scope import steps_scope
from maestro.execution.session import RunSession
from maestro.steps import StepResult
from maestro.workflow.graph import Node


@dataclass(frozen=True, slots=True)
class Compensation:
    """A finished step that is to be undone."""

    node: Node
    record: StepRecord


def compensations(session: RunSession) -> list[Compensation]:
    """Finished steps of this run, and of the runs it resumes, that say how they are undone; the last finished first.

    A result that came from the cache changed nothing in this run and is not among them.
    """
    found = []
    for node in session.graph:
        record = session.record_of_run(node.name) if node.step.compensate is not None else None
        if record is not None and record.passed and record.cache != "hit":
            found.append(Compensation(node, record))
    return sorted(found, key=lambda one: one.record.started + one.record.seconds, reverse=True)


def undo(session: RunSession, compensation: Compensation, log_path: Path | None) -> StepResult:
    """Undoes one step; never raises for what goes wrong while undoing, so that the next one is undone too.

    An undone step counts as unfinished: a resumed run does it again.
    """
    node = compensation.node
    log = StepLog(log_path, session.masker)
    try:
        result = _perform(session, node, log)
    except MaestroError as error:
        log.line(str(error))
        result = StepResult(passed=False, summary=error.what)
    finally:
        log.close()
    if result.passed:
        session.remember(replace(compensation.record, passed=False, summary="undone: its run failed later"))
        session.journal.clear(effect_key(session, node))
    return result


def _perform(session: RunSession, node: Node, log: StepLog) -> StepResult:
    compensate = node.step.compensate
    assert compensate is not None
    scope = {**session.scope(node), "steps": steps_scope(session.graph, session.record_of)}
    kind = session.registry.get(compensate.run)
    path = (*node.path, "compensate")
    secrets = session.secrets_of(node)
    log.hide(session.masker)
    environment = session.resolver.environment(node, scope)
    environment.update(session.resolver.variables(compensate.env, (*path, "env"), scope))
    work = Work(
        name=node.name,
        kind=kind,
        params=session.resolver.params(kind, compensate.with_, path, scope),
        environment=environment,
        secrets=secrets,
        timeout=compensate.timeout,
        idempotency_key=f"{effect_key(session, node)}-undo",
        upstream={},
    )
    result = StepResult(passed=False, summary="not tried")
    for attempt in range(compensate.retries.max + 1):
        if attempt and session.abort.wait(compensate.retries.delay * 2 ** (attempt - 1)):
            break
        result, _cost = perform(session, replace(work, attempt=attempt + 1), log, session.abort)
        if result.passed:
            break
    return result
