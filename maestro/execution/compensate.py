"""Undoes finished steps, in reverse order, when their run fails or is cancelled."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

from maestro.artifacts import StepRecord
from maestro.errors import MaestroError
from maestro.execution.effects import effect_key, undo_key
from maestro.execution.log import StepLog
from maestro.execution.perform import Work, perform
from maestro.execution.scope import steps_scope
from maestro.execution.session import RunSession
from maestro.steps import StepResult
from maestro.workflow.graph import Node
from maestro.workflow.model import Retries


@dataclass(frozen=True, slots=True)
class Compensation:
    """A finished step that is to be undone."""

    node: Node
    record: StepRecord


def told(compensation: Compensation, result: StepResult) -> str:
    """One line for people about how undoing a step ended; views of runs look for its beginning."""
    outcome = "undone" if result.passed else f"could not be undone: {result.summary}"
    return f"Compensation: step {compensation.node.name} {outcome}"


def compensations(session: RunSession) -> list[Compensation]:
    """Finished steps of this run, and of the runs it resumes, that say how they are undone; the last finished first.

    A result that came from the cache changed nothing in this run and is not among them. A step whose undoing was
    interrupted is.
    """
    found: list[Compensation] = []
    if session.request.untrusted:
        return found  # It had no effects outside.
    for node in session.graph:
        record = session.record_of_run(node.name) if node.step.compensate is not None else None
        if record is None or record.cache == "hit":
            continue
        if record.passed or undo_was_interrupted(session, node):
            found.append(Compensation(node, record))
    return sorted(found, key=lambda one: one.record.started + one.record.seconds, reverse=True)


def undo_was_interrupted(session: RunSession, node: Node) -> bool:
    """True when undoing ``node`` was begun, and did not end well."""
    return session.journal.state(undo_key(effect_key(session, node))) == "started"


def undo(session: RunSession, compensation: Compensation, log_path: Path | None) -> StepResult:
    """Undoes one step; never raises for what goes wrong while undoing, so that the next one is undone too.

    An undone step counts as unfinished: a resumed run does it again. Undoing that was interrupted is begun again, so a
    compensation must be idempotent (MAESTRO_IDEMPOTENCY_KEY is the same then).
    """
    log = StepLog(log_path, session.masker)
    try:
        return undo_with_log(session, compensation, log)
    except MaestroError as error:
        log.line(str(error))
        return StepResult(passed=False, summary=error.what)
    finally:
        log.close()


def undo_with_log(session: RunSession, compensation: Compensation, log: StepLog) -> StepResult:
    """Like ``undo``, into a log that is open; raises what goes wrong."""
    node = compensation.node
    key = undo_key(effect_key(session, node))
    session.journal.start(key, {"step": node.name, "run": session.identity.run_id})
    # First the step stops counting as done, then it is undone: killed in between, it is undone again, never trusted.
    begun = replace(compensation.record, passed=False, summary="its run failed later; undoing it was begun")
    session.remember(begun)
    result = _perform(session, node, log)
    if result.passed:
        undone = replace(begun, summary="undone: its run failed later")
        session.remember(undone)
        session.journal.done(key, undone)
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
        idempotency_key=undo_key(effect_key(session, node)),
        upstream={},
    )
    result = StepResult(passed=False, summary="not tried")
    for attempt in range(compensate.retries.max + 1):
        if attempt and session.abort.wait(_wait(compensate.retries, attempt)):
            break
        result, _cost = perform(session, replace(work, attempt=attempt + 1), log, session.abort)
        if result.passed:
            break
    return result


def _wait(retries: Retries, attempt: int) -> float:
    """Seconds before attempt ``attempt`` (1 is the first retry), as Dagster's ``RetryPolicy`` waits for steps."""
    factor: float = {"constant": 1, "linear": attempt, "exponential": 2**attempt - 1}[retries.backoff]
    jitter = random.uniform(-retries.delay, retries.delay) if retries.jitter else 0.0
    return max(0.0, retries.delay * factor + jitter)
