"""Effects outside happen once: a journal under an idempotency key, asked before and written after."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from dataclasses import replace

from maestro.artifacts import StepRecord
from maestro.execution.errors import StepError
from maestro.execution.log import StepLog
from maestro.execution.perform import Work, perform
from maestro.execution.resolve import Resolved
from maestro.execution.session import RunSession
from maestro.workflow.graph import Node
from maestro.workflow.model import Effects


def effect_key(session: RunSession, node: Node) -> str:
    """The idempotency key of a step: the same in a run and all its resumptions, another in a new run.

    A step that was undone is to happen again, so it gets another key then: keys are numbered, and the first one that
    was not undone counts.
    """
    for generation in itertools.count():
        parts = [session.identity.root_run_id, node.name, generation]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        if node.step.compensate is None or session.journal.state(undo_key(key)) != "done":
            return key
    raise AssertionError("itertools.count() has no end")


def undo_key(key: str) -> str:
    """Under which the undoing of the effect ``key`` is noted."""
    return f"undo-{key}"


class EffectGuard:
    """Guards one step's effect within a run and its resumptions.

    A resumed run does not do it twice, a new run does it anew.
    """

    def __init__(self, session: RunSession, resolved: Resolved) -> None:
        self._session = session
        self._resolved = resolved
        self.key = effect_key(session, resolved.node)

    def before(self, work: Work, log: StepLog) -> StepRecord | None:
        """The record of the effect when it already happened; None when it is to be done now, and is so noted.

        Raises:
            StepError: it was begun before, and nobody can tell whether it happened.
        """
        journal, session = self._session.journal, self._session
        done = journal.finished(self.key)
        if done is not None:
            log.line(f"its effect was done by run {done.made_by_run}; not done again")
            record = replace(done, run_id=session.identity.run_id)
            session.remember(record)
            return record
        if journal.state(self.key) == "started":
            settled = self._settle(work, log)
            if settled is not None:
                return settled
        if not journal.start(self.key, {"step": work.name, "run": session.identity.run_id}):
            raise StepError(
                f"the effect of step '{work.name}' is being done by another process of this run",
                next_step="wait for it to end, then run `maestro retry` again",
            )
        return None

    def _settle(self, work: Work, log: StepLog) -> StepRecord | None:
        """Decides about an effect that was begun and not finished: a person's word, else the probe."""
        journal, session, node = self._session.journal, self._session, self._resolved.node
        effects = node.step.effects
        if node.name in session.request.redo or node.id in session.request.redo:
            log.line("its effect was begun before; done again, as asked for with --redo")
            journal.clear(self.key)
            return None
        happened = node.name in session.request.assume_done or node.id in session.request.assume_done
        if not happened:
            if not isinstance(effects, Effects) or effects.probe is None:
                raise StepError(
                    f"step '{work.name}' was interrupted while it changed something outside; whether it did is unknown",
                    next_step=f"look, then `maestro retry RUN --assume-done {node.id}` or `--redo {node.id}`; "
                    "with `effects: {probe: COMMAND}` Maestro finds out by itself",
                )
            shell = session.registry.get("shell")
            probe = replace(work, kind=shell, params=shell.params.model_validate({"command": effects.probe}))
            result, _cost = perform(session, probe, log, session.stop)
            if result.exit_code not in (0, 1):
                raise StepError(
                    f"the probe of step '{work.name}' ended with exit code {result.exit_code}, not yes (0) or no (1)",
                    next_step="repair the probe, then `maestro retry RUN`",
                )
            happened = result.exit_code == 0
        if not happened:
            log.line("the probe says its effect did not happen; done now")
            journal.clear(self.key)
            return None
        log.line("its effect had happened before the interruption; not done again")
        record = self._record_of_past_effect(log)
        self.after(record)
        session.remember(record)
        return record

    def _record_of_past_effect(self, log: StepLog) -> StepRecord:
        session, resolved = self._session, self._resolved
        about = session.journal.about(self.key)
        return StepRecord(
            project=session.project_name,
            workflow=session.loaded.workflow.name,
            revision=session.revision.id,
            step=resolved.node.name,
            kind=resolved.kind.name,
            kind_version=resolved.kind.version,
            cache_key=None,
            passed=True,
            summary="its effect had happened before the run was interrupted",
            outputs=(),
            run_id=session.identity.run_id,
            made_by_run=str(about.get("run", session.identity.run_id)),
            started=time.time(),
            seconds=0.0,
            cache="off",
            log=log.keep(session.store),
        )

    def after(self, record: StepRecord) -> None:
        """Notes the outcome: done for good when it passed; open again when it is known to have failed."""
        if record.passed:
            self._session.journal.done(self.key, record)
        else:
            self._session.journal.clear(self.key)
