"""What a caller of the gateway meets when there is no answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maestro.errors import MaestroError
from maestro.ledger.model import Unit, shown
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
            next_step=f"ask again; `maestro llm why {decision.id}` says what was tried and what it cost",
        )
        self.received = received


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A call whose cost the ledger does not have: it holds the worst case until somebody corrects it.

    Args:
        reservation: its id.
        actual: what it came to; empty: nothing was spent.
        most: what was reserved.
        reason, next_step: why it could not be written, and what to do about that.
        lost: the ledger itself is gone, and the reservation with it.
    """

    reservation: str
    actual: Mapping[Unit, int]
    most: Mapping[Unit, int]
    reason: str
    next_step: str = ""
    lost: bool = False

    @property
    def verb(self) -> str:
        """What the ledger did not do."""
        return "settled" if self.actual else "released"


class UnsettledError(MaestroError):
    """What calls cost could not be written into the ledger; says what became of the money."""

    def __init__(self, calls: Sequence[Unsettled]) -> None:
        first = calls[0]
        came_to, most = (_money([getattr(one, name) for one in calls]) for name in ("actual", "most"))
        what = f"what the call cost, {came_to}, could not be written into the ledger: {first.reason}"
        if first.lost:
            super().__init__(f"{what}; no budget counts it", next_step=first.next_step or None)
            return
        corrections = "; ".join(f"`maestro budget adjust {one.reservation} {_corrected(one)} …`" for one in calls)
        before = f"{first.next_step}; then " if first.next_step else ""
        super().__init__(
            f"{what}; the most it could have cost, {most}, stays charged until that is corrected",
            next_step=f"{before}`maestro budget events` lists it as assumed; correct it by {corrections}",
        )


def _money(amounts: Sequence[Mapping[Unit, int]]) -> str:
    return " and ".join(shown(unit, sum(one.get(unit, 0) for one in amounts)) for unit in (Unit.USD, Unit.TOKENS))


def _corrected(one: Unsettled) -> str:
    from maestro.ledger.insight.export import exact

    unit = Unit.USD if one.most.get(Unit.USD) else Unit.TOKENS
    return f"{unit}={exact(unit, one.actual.get(unit, 0))} --reason"
