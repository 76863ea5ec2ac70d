"""Language models for the steps of a run: one gateway, charged to the run's scopes within the workflow's budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from maestro.errors import MaestroError, RunCancelledError
from maestro.execution.budgets import limits_for, limits_of
from maestro.execution.errors import StepCancelledError, StepTimeoutError
from maestro.execution.model_policy import engine_of
from maestro.ledger.model import Attribution, BudgetExceededError, Charge, Scope, Unit
from maestro.ledger.place import ledger_url
from maestro.llm.blocking import BlockingGateway
from maestro.llm.catalogue import Catalogue
from maestro.llm.gateway import Gateway
from maestro.llm.model import Answer, Decision, ModelRequest
from maestro.llm.named_by_ollama import with_ollama_models
from maestro.llm.opening import catalogue_for, open_gateway
from maestro.llm.patience import Patience
from maestro.server.home import HOME_VARIABLE
from maestro.server.patience import SECONDS, is_server_away, patiently

if TYPE_CHECKING:
    from maestro.execution.session import RunSession
    from maestro.policy import PolicyEngine

P = ParamSpec("P")
T = TypeVar("T")
WAIT_SECONDS = 60.0
"""For money that other calls have reserved, where the step has no time limit of its own."""
_OLLAMA = "ollama.generate"
_LOOK_BACK = timedelta(days=60)


def _nobody(_sentence: str) -> None:
    """Is told nothing."""


class RunModels:
    """The gateway of one run; opened when something is first asked of it, closed with the run."""

    def __init__(self, session: RunSession) -> None:
        self._session = session
        self._limits = limits_of(session.loaded.workflow.budget)
        self.catalogue = self._catalogue()
        self.gateway = BlockingGateway(self._open)
        self.opened: Gateway | None = None
        self._usual: Mapping[tuple[str, str], int] | None = None
        self._planning: PolicyEngine | None = None

    def _catalogue(self) -> Catalogue:
        budget = self._session.loaded.workflow.budget
        found = catalogue_for(self._session.workspace, self._session.environ)
        if self._on_server:
            return found  # Which models there are is the server's to say, in its own models.yaml.
        found = with_ollama_models(found, (str(one["model"]) for one in self._of_ollama if "{{" not in str(one)))
        if budget is None or not budget.allow_unknown_price:
            return found
        return replace(found, allow_unknown_price=True, prepared={})

    @property
    def _on_server(self) -> bool:
        return HOME_VARIABLE in self._session.environ

    @property
    def _of_ollama(self) -> list[Mapping[str, Any]]:
        """``with`` of every step that asks Ollama by a model's name."""
        return [
            node.step.with_ for node in self._session.graph if node.step.run == _OLLAMA and "model" in node.step.with_
        ]

    def _open(self) -> Gateway:
        session = self._session
        self.opened = open_gateway(
            home=session.project.ensure_home(),
            environ=session.environ,
            workspace=session.workspace,
            store=session.store,
            catalogue=self.catalogue,
            policies=self._policies,
            # Gigabytes of a server's disk are not a workflow's to fill.
            pulls=not self._on_server and any(one.get("pull") is True for one in self._of_ollama),
            patience=SECONDS,
        )
        return self.opened

    def _policies(self) -> PolicyEngine:
        """That of the profile the run has, or would have."""
        session = self._session
        if session.desk is not None:
            return session.desk.engine  # Which closes it.
        # While planning no desk is open, and nothing is asked but whether it might be.
        self._planning = engine_of(session.project.home, session.environ, session.profile)()
        return self._planning

    def of(
        self,
        step: str,
        stop: threading.Event | None,
        seconds: float | None,
        tell: Callable[[str], None] = _nobody,
    ) -> StepModels:
        """For one step; see ``maestro.steps.Models``."""
        identity = self._session.identity
        attribution = Attribution(
            tenant=identity.tenant,
            project=self._session.project_name,
            pull_request=identity.pull_request,
            run=identity.root_run_id,
            step=step,
            actor=identity.actor or "maestro",
        )
        return StepModels(self, self._session, attribution, limits_for(attribution, self._limits), stop, seconds, tell)

    def usual_cost(self, step: str, model: str) -> int | None:
        """See ``maestro.steps.Models``."""
        if self._usual is None:
            self._usual = self._usual_costs()
        return self._usual.get((step, model))

    def _usual_costs(self) -> Mapping[tuple[str, str], int]:
        """By step and model: what another model has cost says nothing of the one that would be asked now."""
        from maestro.ledger.insight.run_forecast import run_forecast

        opened, identity = self.opened, self._session.identity
        if opened is None:
            return {}
        past = opened.ledger.ledger.charges(
            datetime.now(UTC) - _LOOK_BACK, tenant=identity.tenant, project=self._session.project_name, unit="usd"
        )
        by_model: dict[str, list[Charge]] = {}
        for one in past:
            by_model.setdefault(one.model, []).append(one)
        steps = [node.name for node in self._session.graph]
        return {
            (step, model): one.likely
            for model, charges in by_model.items()
            for step, one in run_forecast(charges, steps).steps.items()
        }

    def audit(self) -> str | None:
        """Closes the gateway and brings the run's decisions into the audit log; why not, when that fails.

        On a server its conductor does: it has the log, and a run may be on another machine.
        """
        desk = None if self.opened is None or self._on_server else self._session.desk
        if desk is None:
            return None
        from maestro.ledger.store import Ledger
        from maestro.llm.auditing import DecisionAudit

        session = self._session
        try:
            self.close()
            with Ledger.open(ledger_url(session.project.home, session.environ)) as ledger:
                audit = DecisionAudit(ledger.engine, lambda: desk)
                audit.of_run(session.identity.root_run_id)
                audit.rest()
        except TimeoutError:
            return _not_audited("what is still to be settled takes too long")
        except (MaestroError, OSError) as error:
            return _not_audited(error.what if isinstance(error, MaestroError) else str(error))
        return None

    def close(self) -> None:
        """Waits for what is still to be settled."""
        self.gateway.close()
        if self._planning is not None:
            self._planning.close()


def prompt_folders(workspace: Path) -> tuple[Path, ...]:
    """Where the prompts of a checkout are; Maestro's own come after them."""
    return (workspace / "prompts",)


class StepModels:
    """Language models for one step; ``maestro.steps.Models``."""

    def __init__(
        self,
        models: RunModels,
        session: RunSession,
        attribution: Attribution,
        limits: Mapping[Scope, Mapping[Unit, int]],
        stop: threading.Event | None,
        seconds: float | None,
        tell: Callable[[str], None] = _nobody,
    ) -> None:
        self._models = models
        self._session = session
        self._attribution = attribution
        self._limits = limits
        self._stop = stop
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._tell = tell

    @property
    def catalogue(self) -> Catalogue:
        """The models there are."""
        return self._models.catalogue

    @property
    def prompt_folders(self) -> Sequence[Path]:
        """Where prompts are."""
        return prompt_folders(self._session.workspace)

    def ask(self, request: ModelRequest) -> Answer:
        """The answer; see ``maestro.steps.Models``. Nothing is sent while the ledger's database is away."""
        return self._outlasting(self._ask)(request)

    def _ask(self, request: ModelRequest) -> Answer:
        self._require_wanted()
        now = time.monotonic()
        left = request.timeout if self._deadline is None else self._deadline - now
        if left <= 0:
            raise _late()
        try:
            return self._models.gateway.ask(
                replace(self._of_the_run(request), timeout=min(request.timeout, left)),
                self._attribution,
                limits=self._limits,
                cancelled=self._stop,
                patience=self._patience(now),
            )
        except RunCancelledError as error:
            raise StepCancelledError("the step was stopped while it waited for a model") from error
        except BudgetExceededError:
            raise
        except Exception as error:
            if self._stopped:
                raise StepCancelledError("the step was stopped while it waited for a model") from error
            # Whatever it says, there was no more time.
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise _late() from error
            raise

    def _patience(self, now: float) -> Patience:
        if self._deadline is None:
            return Patience(now + WAIT_SECONDS, tell=self._told_once)
        return Patience(self._deadline, self._deadline, self._told_once)

    def _told_once(self, sentence: str) -> None:
        # A step may ask many times at once.
        tell, self._tell = self._tell, _nobody
        tell(sentence)

    def decide(self, request: ModelRequest) -> Decision:
        """Which model would be asked."""
        self._require_wanted()
        decide = self._outlasting(self._models.gateway.decide)
        return decide(self._of_the_run(request), self._attribution, limits=self._limits)

    def usual_cost(self, model: str) -> int | None:
        """What this step usually costs with this model."""
        return self._models.usual_cost(self._attribution.step or "", model)

    def decision(self, id: str) -> Decision | None:
        """A decision that was kept."""
        opened = self._models.opened
        return None if opened is None else self._outlasting(opened.decisions.get)(id).decision

    def _outlasting(self, call: Callable[P, T]) -> Callable[P, T]:
        left = SECONDS if self._deadline is None else self._deadline - time.monotonic()
        return patiently(
            call, max(0.0, min(SECONDS, left)), when=lambda error: not self._stopped and is_server_away(error)
        )

    @property
    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def _require_wanted(self) -> None:
        if self._stopped:
            raise StepCancelledError("the step was stopped while it waited for a model")

    def _of_the_run(self, request: ModelRequest) -> ModelRequest:
        """Without the secrets the run has read so far; what is no secret of the run, the gateway itself takes out.

        And with the branch the run is of, which rules of routes may ask for.
        """
        mask = self._session.masker.text
        messages = [replace(one, content=mask(one.content)) for one in request.messages]
        return replace(request, messages=messages, branch=self._session.revision.branch or "")


def _not_audited(problem: str) -> str:
    return (
        f"which models this run asked, and why, is not in the audit log: {problem}; the next run that asks "
        "one brings it there"
    )


def _late() -> StepTimeoutError:
    return StepTimeoutError(
        "the step's time was over before a model had answered", next_step="raise its timeout, or ask a quicker model"
    )
