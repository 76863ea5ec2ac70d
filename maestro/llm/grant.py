"""One call of one model: what is set aside for it, and how it ends. Every grant ends exactly once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maestro.ledger.model import Unit
from maestro.ledger.operations import Release, Settle
from maestro.llm.charging import Bounds
from maestro.llm.model import Attempt, ProviderError, Usage

if TYPE_CHECKING:
    from maestro.ledger.operations import Companion
    from maestro.llm.gateway import Gateway


class Grant:
    """Money for one call, a place among those that run at once, and the breaker's permission.

    Made by ``Course``; ``answered``, ``failed`` or ``left`` ends it. All three only hand their wish to the ledger's
    writer and never wait, so that they work while a task is being cancelled, and in ``__del__``.

    Args:
        id: of the reservation.
        release_place: gives the place to the next call.
    """

    def __init__(
        self, gateway: Gateway, id: str, decision: str, bounds: Bounds, release_place: Callable[[], None]
    ) -> None:
        self.id = id
        self.bounds = bounds
        self.began = time.monotonic()
        self.cost_nano = 0
        self._gateway = gateway
        self._decision = decision
        self._release_place = release_place
        self._ended = False

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.bounds.model.name

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    @property
    def ended(self) -> bool:
        """Whether it is settled or released."""
        return self._ended

    def answered(self, usage: Usage, also: Sequence[Companion] = ()) -> None:
        """The model did what was asked; ``also`` goes into the same transaction as the cost."""
        if self._end():
            self._gateway.breakers.answered(self.model)
            self._gateway.sharing.answered(self.model, self.began)
            self._gateway.latencies.record(self.model, self.seconds)
            self._settle(usage, {}, also)

    def failed(self, error: ProviderError, usage: Usage | None = None) -> Attempt:
        """It did not; what it may have used is charged all the same.

        Args:
            usage: what is known; None: what the error says, or the worst case.
        """
        attempt = Attempt(self.model, error.kind, self.seconds, self._gateway.redactor.text(error.what))
        if self._end():
            self._gateway.breakers.failed(self.model, error)
            self._gateway.latencies.record(self.model, self.seconds, failed=True)
            used = usage or error.usage
            if error.sent or used is not None:
                self._settle(used or self.bounds.usage, {"failed": error.kind})
            else:
                self._gateway.bookkeeper.release(Release(self.id, error.kind), self.bounds.amounts)
        return attempt

    def left(self, why: str, usage: Usage | None = None) -> Attempt:
        """The caller went away: ``cancelled`` or ``timeout``."""
        attempt = Attempt(self.model, why, self.seconds)
        if self._end():
            self._gateway.breakers.left(self.model)
            self._settle(usage or self.bounds.usage, {"failed": why})
        return attempt

    def _end(self) -> bool:
        if self._ended:
            return False
        self._ended = True
        self._release_place()
        return True

    def _settle(self, said: Usage, more: Mapping[str, Any], also: Sequence[Companion] = ()) -> None:
        usage = self.bounds.believed(said)
        actual = self.bounds.charge(usage)
        self.cost_nano = actual[Unit.USD]
        facts: dict[str, object] = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "seconds": round(self.seconds, 3),
            **more,
        }
        if usage.estimated:
            facts["estimated"] = True
        doubtful = usage is not said
        if doubtful:
            facts["implausible_usage"] = {"input_tokens": said.input_tokens, "output_tokens": said.output_tokens}
        model = self.bounds.model
        self._gateway.bookkeeper.settle(
            Settle(self.id, actual, model.name, model.provider, self._decision, facts, also, doubtful),
            self.bounds.amounts,
        )
