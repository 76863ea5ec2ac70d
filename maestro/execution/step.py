"""Carries out one step: condition, cache, effects journal, the work itself, and the record of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from maestro.artifacts import (
    Artifact,
    ArtifactMissingError,
    Claim,
    CorruptArtifactError,
    StepRecord,
)
from maestro.execution.compensate import Compensation, undo_was_interrupted, undo_with_log
from maestro.execution.effects import EffectGuard, effect_key
from maestro.execution.errors import StepError, StepTimeoutError
from maestro.execution.evidence import check_upstream, unsigned_hit, with_evidence
from maestro.execution.log import StepLog
from maestro.execution.outputs import declared_files, keep, restore
from maestro.execution.perform import Work, perform
from maestro.execution.resolve import Resolved
from maestro.execution.reuse import reused
from maestro.execution.session import RunSession
from maestro.secrets import Masker
from maestro.steps import Output, StepResult
from maestro.workflow.graph import Node


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: with a record, or skipped for a reason."""

    record: StepRecord | None
    skipped: str | None = None


def run_step(session: RunSession, node: Node, log: StepLog, *, attempt: int = 1) -> Outcome:
    """Carries out ``node``.

    A step that ran and failed is an outcome (``record.passed`` is False, its outputs are kept); what kept it from
    running at all is raised.

    Raises:
        StepError, InputError: it could not be run; StepCancelledError: it was stopped.
    """
    started = time.time()
    scope = session.scope(node)
    if not session.request.planned or session.resolver.when_needs_steps(node):
        reason = session.resolver.wanted(node, scope)
        if reason:
            log.line(f"skipped: {reason}")
            return Outcome(None, reason)
    upstream = session.upstream(node)
    before = session.records_before(node)
    resolved = session.resolver.resolve(node, scope, upstream, session.plan_context(node.name), before=before)
    session.note_key(resolved)
    hit = _from_cache(session, resolved, log, started)
    if hit is not None:
        return Outcome(hit)
    if not node.final:
        session.quotas.check()
    check_upstream(session, node, resolved.kind, before)
    session.bring_upstream_files(node)
    return Outcome(_run(session, resolved, upstream, before, log, attempt, started))


def restore_step(session: RunSession, node: Node, log: StepLog, *, most_bytes: int) -> StepRecord | None:
    """Brings back what the planner found in the cache for ``node``, as ``run_step`` would.

    Args:
        most_bytes: of outputs; what has more is left alone.

    Returns:
        None when it has not been brought back; ``run_step`` then does whatever is to be done.
    """
    if not session.request.planned or session.resolver.when_needs_steps(node):
        return None
    started = time.time()
    upstream, before = session.upstream(node), session.records_before(node)
    resolved = session.resolver.resolve(
        node, session.scope(node), upstream, session.plan_context(node.name), before=before
    )
    session.note_key(resolved)
    return _from_cache(session, resolved, log, started, most_bytes)


def _from_cache(
    session: RunSession, resolved: Resolved, log: StepLog, started: float, most_bytes: int | None = None
) -> StepRecord | None:
    key = resolved.cache_key
    if key is None:
        return None
    if session.request.untrusted and resolved.node.step.secrets:
        return None  # What was made with a secret may hold it.
    found = session.records.cached(key)
    if found is not None and session.request.untrusted and (found.subjects or found.claims or found.evidence):
        return None  # Nothing is verified or signed in such a run.
    if found is None or (most_bytes is not None and sum(one.size for one in found.outputs) > most_bytes):
        return None
    refused = unsigned_hit(session, found, key)
    if refused:
        session.records.forget_cache(key)
        log.line(f"the cached result cannot be used and is made again: {refused}")
        return None
    try:
        restore(session.workspace, found.outputs, session.store)
        replayed = session.store.get_bytes(found.log.sha256) if found.log else b""
    except (CorruptArtifactError, ArtifactMissingError) as error:
        session.records.forget_cache(key)
        log.line(f"the cached result cannot be used and is made again: {error.what}")
        return None
    log.line(f"from the cache: run {found.made_by_run} made it ({found.seconds:.1f} s)")
    log.write(replayed)
    hit = with_evidence(session, _hit(session, resolved, found, started))
    session.remember(hit)
    return hit


def _run(
    session: RunSession,
    resolved: Resolved,
    upstream: Mapping[str, StepRecord],
    before: Mapping[str, StepRecord],
    log: StepLog,
    attempt: int,
    started: float,
) -> StepRecord:
    node = resolved.node
    step = node.step
    if session.request.untrusted:
        _refuse_untrusted(resolved)
    if step.compensate is not None and undo_was_interrupted(session, node):
        _finish_undoing(session, node, log)
    guard = EffectGuard(session, resolved) if step.has_effects or resolved.kind.effects else None
    secrets = session.secrets_of(node)
    log.hide(session.masker)
    sandboxed = step.sandbox or session.request.untrusted
    timeout, network = _bounded(session, resolved, log)
    work = Work(
        name=node.name,
        kind=resolved.kind,
        params=resolved.params,
        environment=resolved.environment,
        secrets=secrets,
        timeout=timeout,
        idempotency_key=effect_key(session, node),
        upstream={name: {one.name: one for one in record.outputs} for name, record in upstream.items()},
        attempt=attempt,
        sandboxed=sandboxed,
        network=network,
        brought=session.brought_files(node) if sandboxed else (),
        writable=_patterns(session, resolved),
        records=before,
    )
    if guard:
        done = guard.before(work, log)
        if done is not None:
            return done
    try:
        result, cost = perform(session, work, log, session.abort if node.final else session.stop)
    except StepTimeoutError as error:
        result, cost = StepResult(passed=False, summary=error.what), 0.0
        log.line(error.what)
    result, outputs = _outputs(session, resolved, result, log)
    record = with_evidence(session, _record(session, resolved, result, outputs, log, started, cost))
    if guard:
        guard.after(record)
    session.remember(record)
    if record.passed and resolved.cache_key is not None and not session.request.untrusted:
        session.cache_writer.offer(resolved.cache_key, record, resolved.input_globs)
    return record


def _refuse_untrusted(resolved: Resolved) -> None:
    """Raises for what a run of somebody else's fork must not do."""
    node, kind = resolved.node, resolved.kind
    if node.step.has_effects or kind.effects:
        what = "changes something outside, which a run of somebody else's fork may not"
    elif not kind.confined:
        what = f"is of kind '{kind.name}', which works outside of a sandbox too; a run of somebody else's fork may not"
    else:
        return
    raise StepError(
        f"step '{node.name}' {what}",
        next_step="leave it out there, with when: '{{ run.trusted }}', or approve the pull request",
    )


def _bounded(session: RunSession, resolved: Resolved, log: StepLog) -> tuple[float | None, bool | Sequence[str]]:
    """The step's time limit and network; of an untrusted run no more than that may have."""
    step, bounds = resolved.node.step, session.request.bounds
    if not session.request.untrusted:
        return step.timeout, step.network
    if step.network and not bounds.network:
        log.line("without the network: this server gives none to steps of forks, see `forks` in server.yaml")
    return min(step.timeout or bounds.seconds, bounds.seconds), step.network if bounds.network else False


def _finish_undoing(session: RunSession, node: Node, log: StepLog) -> None:
    record = session.record_of_run(node.name)
    if record is None:
        raise StepError(f"undoing step '{node.name}' was begun, but there is no record of the step")
    log.line("undoing it was interrupted and is done again first")
    result = undo_with_log(session, Compensation(node, record), log)
    if not result.passed:
        raise StepError(
            f"step '{node.name}' could not be undone before it is done again: {result.summary}",
            next_step="repair its compensate, then `maestro retry RUN`",
        )


def _patterns(session: RunSession, resolved: Resolved) -> list[str]:
    outputs = resolved.node.step.outputs
    patterns = list(outputs.values()) if isinstance(outputs, dict) else list(outputs)
    scope = session.scope(resolved.node)
    return [str(session.expressions.render(pattern, scope)) for pattern in patterns]


def _outputs(
    session: RunSession, resolved: Resolved, result: StepResult, log: StepLog
) -> tuple[StepResult, tuple[Artifact, ...]]:
    """Everything the step left behind; a passed step that lacks a declared output has failed."""
    step = resolved.node.step
    rendered = _patterns(session, resolved)
    patterns = dict(zip(step.outputs, rendered, strict=True)) if isinstance(step.outputs, dict) else rendered
    files: list[Output] = list(result.outputs)
    known = {one.path for one in files}
    for name, pattern in patterns.items() if isinstance(patterns, dict) else [(None, one) for one in patterns]:
        try:
            found = declared_files(session.workspace, {name: pattern} if name else [pattern])
            # What the kind itself has named is not kept a second time under its path.
            files += found if name else [one for one in found if one.path not in known]
        except StepError as error:
            if result.passed:
                log.line(error.what)
                result = replace(result, passed=False, summary=error.what)
    kept = keep(session.workspace, files, session.store)
    names = {one.name for one in kept}
    return result, (*kept, *(one for one in result.artifacts if one.name not in names))


def _record(
    session: RunSession,
    resolved: Resolved,
    result: StepResult,
    outputs: tuple[Artifact, ...],
    log: StepLog,
    started: float,
    cost: float,
) -> StepRecord:
    masker = session.masker
    values: dict[str, Any] = masker.value(dict(result.values))
    metadata: dict[str, Any] = masker.value(dict(result.metadata))
    seconds = time.time() - started
    return StepRecord(
        project=session.project_name,
        workflow=session.loaded.workflow.name,
        revision=session.revision.id,
        step=resolved.node.name,
        kind=resolved.kind.name,
        kind_version=resolved.kind.version,
        cache_key=resolved.cache_key,
        passed=result.passed,
        summary=masker.text(result.summary),
        outputs=outputs,
        run_id=session.identity.run_id,
        made_by_run=session.identity.run_id,
        started=started,
        seconds=seconds,
        made_started=started,
        made_seconds=seconds,
        cache="off" if resolved.cache_key is None else "miss",
        values=values,
        metadata=metadata,
        log=log.keep(session.store),
        exit_code=result.exit_code,
        cost_usd=cost,
        subjects=tuple(result.subjects),
        materials=tuple(result.materials),
        params=masker.value(resolved.params.model_dump(mode="json")),
        key_parts=dict(resolved.key_parts),
        claims=tuple(_masked(one, masker) for one in result.claims),
    )


def _masked(claim: Claim, masker: Masker) -> Claim:
    return claim if claim.predicate is None else replace(claim, predicate=masker.value(dict(claim.predicate)))


def _hit(session: RunSession, resolved: Resolved, found: StepRecord, started: float) -> StepRecord:
    """What another run made, as this run's."""
    return replace(
        reused(found, resolved.kind),
        workflow=session.loaded.workflow.name,
        step=resolved.node.name,
        revision=session.revision.id,
        run_id=session.identity.run_id,
        started=started,
        seconds=time.time() - started,
    )
