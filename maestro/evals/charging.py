"""Whom the questions of an evaluation are charged to, where no step says so."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from maestro.ledger.model import Attribution
from maestro.llm.blocking import BlockingGateway
from maestro.llm.model import Answer, Decision, ModelRequest


@dataclass(frozen=True, slots=True)
class Charged:
    """A gateway for one payer; what :mod:`maestro.evals.running` asks through."""

    gateway: BlockingGateway
    attribution: Attribution
    cancelled: threading.Event = field(default_factory=threading.Event)

    def ask(self, request: ModelRequest) -> Answer:
        """The answer, paid for; raises as the gateway does."""
        return self.gateway.ask(request, self.attribution, cancelled=self.cancelled)

    def decide(self, request: ModelRequest) -> Decision:
        """Which model would answer; nothing is spent."""
        return self.gateway.decide(request, self.attribution)
