"""What a caller of the gateway meets when there is no answer."""

from __future__ import annotations

from maestro.errors import MaestroError
from maestro.llm.model import Attempt, Decision


class NoAnswerError(MaestroError):
    """Every candidate was tried, or the time was up; says what was tried and what it cost.

    Args:
        attempts: what was tried, in order.
        cost_nano: what counts as spent all the same, in nanodollars.
        timed_out: the time of the request was up.
        refused: a content filter refused it.
    """

    def __init__(
        self,
        what: str,
        *,
        decision: Decision,
        attempts: tuple[Attempt, ...] = (),
        cost_nano: int = 0,
        timed_out: bool = False,
        refused: bool = False,
        next_step: str | None = None,
    ) -> None:
        super().__init__(what, next_step=next_step)
        self.decision = decision
        self.attempts = attempts
        self.cost_nano = cost_nano
        self.timed_out = timed_out
        self.refused = refused


class StreamBrokenError(NoAnswerError):
    """An answer ended in the middle after pieces of it were passed on; no other model goes on with it.

    Args:
        received: the text until then.
    """

    def __init__(self, what: str, *, received: str, decision: Decision, attempts: tuple[Attempt, ...], cost_nano: int,
                 timed_out: bool = False) -> None:  # fmt: skip
        super().__init__(
            what,
            decision=decision,
            attempts=attempts,
            cost_nano=cost_nano,
            timed_out=timed_out,
            next_step="ask again; what came until then is in the error's `received`",
        )
        self.received = received
