"""Language models for the steps of a run: one gateway, charged to the run's scopes within the workflow's budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maestro.execution.errors import StepCancelledError, StepTimeoutError
from maestro.ledger.model import Attribution, ScopeKind, Unit, nanodollars
from maestro.llm.blocking import BlockingGateway, GaveUpError
from maestro.llm.catalogue import Catalogue
from maestro.llm.model import Answer, Decision, ModelRequest
from maestro.llm.opening import open_gateway
from maestro.workflow.budget import Amounts, Budget

if TYPE_CHECKING:
    from maestro.execution.session import RunSession

_KINDS: Mapping[str, ScopeKind] = {"step": "step", "run": "run", "pull_request": "pull_request", "month": "project"}


def limits_of(budget: Budget | None) -> dict[ScopeKind, dict[Unit, int]]:
    """The workflow's ``budget`` as the ledger counts."""
    return {} if budget is None else {_KINDS[name]: amounts(one) for name, one in budget.limits.items()}


def amounts(given: Amounts) -> dict[Unit, int]:
    """Dollars as nanodollars, minutes as seconds, gigabytes as bytes."""
    found = {
        Unit.USD: None if given.usd is None else nanodollars(given.usd, up=False),
        Unit.TOKENS: given.tokens,
        Unit.RUNS: given.runs,
        Unit.MINUTES: None if given.minutes is None else round(given.minutes * 60),
        Unit.GIGABYTES: None if given.gigabytes is None else round(given.gigabytes * 1e9),
    }
    return {unit: amount for unit, amount in found.items() if amount is not None}


class RunModels:
    """The gateway of one run; opened once, closed with the run."""

    def __init__(self, session: RunSession) -> None:
        self._session = session
        budget = session.loaded.workflow.budget
        self._gateway = BlockingGateway(
            open_gateway(
                home=session.project.ensure_home(),
                environ=session.environ,
                workspace=session.workspace,
                store=session.store,
                masker=lambda: session.masker,
                limits=limits_of(budget),
                allow_unknown_price=budget is not None and budget.allow_unknown_price,
            )
        )

    def of(self, step: str, stop: threading.Event | None, seconds: float | None) -> StepModels:
        """For one step; see ``maestro.steps.Models``."""
        identity = self._session.identity
        return StepModels(
            self._gateway,
            Attribution(
                tenant=identity.tenant,
                project=self._session.project_name,
                pull_request=identity.pull_request,
                run=identity.root_run_id,
                step=step,
                actor=identity.actor or "maestro",
            ),
            prompt_folders(self._session.workspace),
            stop,
            seconds,
        )

    def close(self) -> None:
        """Waits for what is still to be settled."""
        self._gateway.close()


def prompt_folders(workspace: Path) -> tuple[Path, ...]:
    """Where the prompts of a checkout are; Maestro's own come after them."""
    return (workspace / "prompts",)


class StepModels:
    """Language models for one step; ``maestro.steps.Models``."""

    def __init__(
        self,
        gateway: BlockingGateway,
        attribution: Attribution,
        prompt_folders: Sequence[Path],
        stop: threading.Event | None,
        seconds: float | None,
    ) -> None:
        self.prompt_folders = prompt_folders
        self._gateway = gateway
        self._attribution = attribution
        self._stop = stop
        self._deadline = None if seconds is None else time.monotonic() + seconds

    @property
    def catalogue(self) -> Catalogue:
        """The models there are."""
        return self._gateway.catalogue

    def ask(self, request: ModelRequest) -> Answer:
        """The answer; see ``maestro.steps.Models``."""
        try:
            return self._gateway.ask(request, self._attribution, cancelled=self._stop, deadline=self._deadline)
        except GaveUpError as error:
            if self._stop is not None and self._stop.is_set():
                raise StepCancelledError("the step was stopped while it waited for a model") from error
            raise StepTimeoutError("the step's time was over before the model had answered") from error

    def decide(self, request: ModelRequest) -> Decision:
        """Which model would be asked."""
        return self._gateway.decide(request, self._attribution)

    def decision(self, id: str) -> Decision | None:
        """A decision that was kept."""
        return self._gateway.decision(id)
