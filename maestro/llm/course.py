"""The way of one request: redacted, counted, decided, then one candidate after another until one answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from maestro.errors import InputError, MaestroError
from maestro.ledger.model import (
    Attribution,
    BudgetExceededError,
    Scope,
    Unit,
)
from maestro.ledger.operations import Reserve
from maestro.llm.catalogue import Catalogue, Model
from maestro.llm.charging import Bounds, bounds
from maestro.llm.decisions import decision_row
from maestro.llm.errors import NoAnswerError
from maestro.llm.grant import Grant
from maestro.llm.model import (
    Answer,
    Attempt,
    Completion,
    Decision,
    Message,
    ModelRequest,
    NoModelError,
    ProviderCall,
    ProviderError,
)
from maestro.llm.options import check_messages, checked_options
from maestro.llm.patience import Patience, money_back
from maestro.llm.redact import Redaction
from maestro.llm.refusing import after_no_answer, after_no_model, beyond_the_request, over_budget, told
from maestro.llm.tokens import TokenCount, count

if TYPE_CHECKING:
    from maestro.llm.gateway import Gateway

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
AT_ONCE = 16_384
"""Characters that are redacted and counted in two milliseconds."""
NOTHING_TAKEN_OUT = Redaction((), {})
LEAST_BYTES, BYTES_PER_TOKEN, MOST_BYTES = 256 * 1024, 8 * 1024, 64 * 1024 * 1024
"""Of an answer as it is sent; with log probabilities a token takes some kilobytes."""
LEASE_BEYOND = 60.0
"""Seconds a reservation outlives the request's own time."""
MOST_ADVICE = 2
"""Next steps of providers that are passed on; who tried many models reads the rest in what was tried."""
Ask = Callable[[Grant, Model, ProviderCall], Awaitable[T]]
Kept = Callable[[Model], Awaitable[T | None]]


class Course:
    """One request on its way. Not for two tasks at once.

    Args:
        catalogue: None: the gateway's own.
        patience: with money that others have reserved; None: it is refused at once.
    """

    def __init__(
        self,
        gateway: Gateway,
        request: ModelRequest,
        attribution: Attribution,
        limits: Mapping[Scope, Mapping[Unit, int]],
        catalogue: Catalogue | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.gateway = gateway
        self.catalogue = gateway.catalogue if catalogue is None else catalogue
        self.attribution = attribution
        self.began = time.monotonic()
        self.attempts: list[Attempt] = []
        self.grants: list[Grant] = []
        self.decision: Decision | None = None
        self.clock: asyncio.Timeout | None = None
        """What ends the request; set by whoever starts it."""
        self._limits = limits
        self._patience = patience
        self._waited = 0.0
        self._kept = False
        self._advice: dict[str, None] = {}
        self.request = request
        self.redaction = NOTHING_TAKEN_OUT
        self.tokens = TokenCount(0, 0)

    async def prepare(self) -> None:
        """Takes secrets and personal data out, and counts; long texts in a thread, so that others go on meanwhile.

        Raises:
            InputError: an option cannot be set, or a message cannot be sent.
        """
        check_messages(self.request.messages)
        options = checked_options(self.request.options)
        if self.gateway.has_counted and _short(self.request.messages, options):
            self._prepare(options)
        else:
            # The first count of a process also reads the tokenizer's table, which takes 0.3 s.
            await asyncio.to_thread(self._prepare, options)
            self.gateway.has_counted = True

    def _prepare(self, options: Mapping[str, Any]) -> None:
        request = self.request
        self.redaction = self.gateway.redactor.request(request.messages, options, request.personal)
        # From here on nobody sees what was taken out.
        self.request = replace(request, messages=self.redaction.messages, options=self.redaction.options)
        self.tokens = count(None, self.redaction.messages, self.redaction.options)

    @property
    def decided(self) -> Decision:
        """The decision; it has been made."""
        if self.decision is None:
            raise AssertionError("nothing was decided yet")
        return self.decision

    @property
    def left(self) -> float:
        """Seconds of the request's time that are left; waiting for money does not count."""
        now = time.monotonic()
        left = self.request.timeout - (now - self.began - self._waited)
        return left if self._patience is None else min(left, self._patience.deadline - now)

    @property
    def cost_nano(self) -> int:
        """What counts as spent so far."""
        return sum(grant.cost_nano for grant in self.grants)

    async def decide(self) -> Decision:
        """Makes the decision, once there is money for it.

        Raises:
            NoModelError: the target names nothing, or no candidate is left.
            BudgetExceededError: none is left because of a budget.
        """
        while True:
            try:
                return await self._decide()
            except BudgetExceededError as error:
                await self._money_back(error)

    async def _decide(self) -> Decision:
        gateway = self.gateway
        self.decision = await self.decided_now()
        if self.decision.chosen is None and over_budget(self.decision):
            # Budgets are remembered for a moment; money may have come back since.
            gateway.situation.forget_balances()
            self.decision = await self.decided_now()
        if self.decision.chosen is not None:
            return self.decision
        needed = {
            one.model: self._bounds(self.catalogue.models[one.model]).amounts() for one in self.decision.candidates
        }
        exceeded = gateway.situation.exceeded(self.decision, self.attribution, self._limits, needed)
        if exceeded is not None:
            raise exceeded
        raise NoModelError(self.decision.why, decision=self.decision, next_step=after_no_model(self.decision))

    async def decided_now(self) -> Decision:
        """What would be decided, as things are; nothing is kept of it.

        Raises:
            NoModelError: the target names nothing.
        """
        return await self.gateway.situation.decide(
            self.request, self.attribution, self.tokens, self._limits, self.catalogue
        )

    async def _money_back(self, error: BudgetExceededError) -> None:
        """Waits for what others have reserved, as far as the request may; the time of its answer begins after that.

        Raises:
            BudgetExceededError: there is no waiting for it.
        """
        if self._patience is None:
            raise error
        situation, scopes = self.gateway.situation, self.attribution.scopes()
        began = time.monotonic()
        if self.clock is not None:
            self.clock.reschedule(None)
        try:
            await money_back(error, self._patience, lambda: situation.read_balances(scopes, self._limits))
        finally:
            self._waited += time.monotonic() - began
            if self.clock is not None:
                self.clock.reschedule(asyncio.get_running_loop().time() + self.left)
        situation.forget_balances()

    async def first_answer(self, ask: Ask[T], kept: Kept[T] | None = None) -> T:
        """What ``ask`` gives of the first candidate that answers; each try has a reservation of its own.

        Args:
            kept: what a candidate has answered before, for which it is not asked; None: nothing.

        Raises:
            BudgetExceededError: no candidate could be paid.
            NoAnswerError: none answered.
        """
        while True:
            try:
                return await self._first_answer(ask, kept)
            except BudgetExceededError as error:
                # Nothing was reserved or asked, so it begins anew.
                await self._money_back(error)
                self.attempts.clear()
                await self.decide()

    async def _first_answer(self, ask: Ask[T], kept: Kept[T] | None) -> T:
        order = self.decided.order
        exceeded: BudgetExceededError | None = None
        for place, name in enumerate(order):
            model = self.catalogue.models[name]
            if kept is not None and (found := await kept(model)) is not None:
                return found
            tried = 0
            while True:
                most = self._bounds(model).amounts()[Unit.USD]
                if over := beyond_the_request(self.catalogue, self.request, model, self.cost_nano, most):
                    self.attempts.append(Attempt(name, "over_budget", 0.0, over))
                    break
                tried += 1
                try:
                    return await self._try(model, ask)
                except BudgetExceededError as error:
                    exceeded = exceeded or error
                    self.gateway.situation.forget_balances()
                    self.attempts.append(Attempt(name, "over_budget", 0.0, error.what))
                    break
                except ProviderError as error:
                    if error.next_step and len(self._advice) < MOST_ADVICE:
                        self._advice[error.next_step] = None
                    last = place == len(order) - 1
                    wait = self.gateway.retries.wait(error, tried, left=self.left, last=last)
                    if wait is None:
                        break
                    await asyncio.sleep(wait)
        if exceeded is not None and all(one.outcome == "over_budget" for one in self.attempts):
            raise exceeded
        raise self.no_answer()

    def no_answer(self, *, timed_out: bool = False) -> NoAnswerError:
        """The error that says what was tried."""
        tried = "; ".join(told(self.attempts)) or "nothing was tried"
        late = f"there was no answer within {self.request.timeout:g} s" if timed_out else "no model answered"
        return NoAnswerError(
            f"{late}: {tried}",
            decision=self.decided,
            attempts=tuple(self.attempts),
            cost_nano=self.cost_nano,
            timed_out=timed_out or all(one.outcome == "timeout" for one in self.attempts),
            refused=bool(self.attempts) and self.attempts[-1].outcome == "refused",
            next_step=after_no_answer(self.decided, self.attempts, list(self._advice), timed_out=timed_out),
        )

    def answer(
        self, completion: Completion, *, model: Model, cost_nano: int, first_token: float | None = None,
        cached: bool = False,
    ) -> Answer:  # fmt: skip
        """The answer to pass on, with the personal data back in it."""
        seconds = time.monotonic() - self.began
        return Answer(
            text=self.redaction.restore(completion.text),
            model=model.name,
            provider=model.provider,
            usage=completion.usage,
            cost_nano=cost_nano,
            seconds=seconds,
            first_token=seconds if first_token is None else first_token,
            decision=self.decided.id,
            finish=completion.finish,
            cached=cached,
            offline=model.offline,
            attempts=tuple(self.attempts),
            raw=self.redaction.restore_value(completion.raw),
        )

    async def _try(self, model: Model, ask: Ask[T]) -> T:
        """One call. Raises ProviderError or BudgetExceededError; both are in ``attempts`` or will be."""
        gateway = self.gateway
        if not gateway.breakers.admits(model.name):
            reason = "its circuit breaker is open"
            self.attempts.append(Attempt(model.name, "breaker_open", 0.0, reason))
            raise ProviderError(f"{model.name}: {reason}", kind="breaker_open", sent=False)
        grant: Grant | None = None
        try:
            async with self._place(model) as place:
                grant = await self._reserve(model, place)
            return await self._asked(grant, model, ask)
        except ProviderError as error:
            if grant is not None:
                self.attempts.append(grant.failed(error))
            raise
        except BaseException:
            if grant is not None and not grant.ended:
                self.attempts.append(grant.left("cancelled" if self.left > 0 else "timeout"))
            raise
        finally:
            if grant is None:
                gateway.breakers.left(model.name)

    async def _asked(self, grant: Grant, model: Model, ask: Ask[T]) -> T:
        """What ``ask`` gives; whatever else a provider raises is ProviderError too, so that the next may be tried."""
        sent = False
        try:
            self.gateway.provider(model)
            call = self._call(model, grant)
            sent = True
            return await ask(grant, model, call)
        except ProviderError:
            raise
        except MaestroError as error:
            raise ProviderError(error.what, kind="unavailable", sent=sent, next_step=error.next_step) from error
        except Exception as error:  # noqa: BLE001 - a defect of one provider is no reason not to ask the next
            told = self.gateway.redactor.text(traceback.format_exc())
            _LOG.error("the provider %s failed:\n%s", model.provider, told)
            raise ProviderError(
                f"{model.provider} failed ({type(error).__name__}); the log says more", kind="unavailable", sent=sent
            ) from None

    @contextlib.asynccontextmanager
    async def _place(self, model: Model) -> AsyncIterator[Callable[[], None]]:
        """A place among the calls of a deployment that run at once, and what gives it back; given back on errors."""
        semaphore = self.gateway.places(model)
        if semaphore is None:
            yield lambda: None
            return
        began = time.monotonic()
        try:
            await semaphore.acquire()
        except asyncio.CancelledError:
            waited = time.monotonic() - began
            reason = f"all {model.concurrency} calls it takes at once were taken"
            self.attempts.append(Attempt(model.name, "waiting", waited, reason))
            raise
        try:
            yield semaphore.release
        except BaseException:
            semaphore.release()
            raise

    async def _reserve(self, model: Model, place: Callable[[], None]) -> Grant:
        """Sets the worst case aside; the decision is kept in the same transaction, before anything leaves."""
        decision = self.decided
        most = self._bounds(model)
        wish = Reserve(
            f"{decision.id}.{len(self.grants) + 1}",
            self.attribution,
            most.amounts(),
            lease=max(1.0, self.left) + LEASE_BEYOND,
            limits=self._limits,
            also=() if self._kept else (decision_row(decision),),
            sent=True,
            model=model.name,
            provider=model.provider,
            decision=decision.id,
        )
        await self.gateway.bookkeeper.reserve(wish)
        self._kept = True
        grant = Grant(self.gateway, wish.id, decision.id, most, place)
        self.grants.append(grant)
        return grant

    def _bounds(self, model: Model) -> Bounds:
        return bounds(model, self.tokens.at_most, self.request.max_output_tokens)

    def _call(self, model: Model, grant: Grant) -> ProviderCall:
        try:
            key = self.gateway.keyring.value(model.key)
        except InputError as error:
            raise ProviderError(error.what, kind="auth", sent=False, next_step=error.next_step) from None
        left = self.left
        if left <= 0:
            raise ProviderError("the time of the request is up", kind="timeout", sent=False)
        timeout = min(model.timeout, left)
        return ProviderCall(
            wire_model=model.wire_model,
            messages=self.request.messages,
            max_output_tokens=grant.bounds.output_tokens,
            temperature=self.request.temperature,
            options=self.request.options,
            api_base=model.api_base,
            api_key=key,
            timeout=timeout,
            first_byte=timeout,
            byte_limit=min(MOST_BYTES, LEAST_BYTES + BYTES_PER_TOKEN * grant.bounds.output_tokens),
        )


def _short(messages: Sequence[Message], options: Mapping[str, Any]) -> bool:
    """Whether redacting and counting takes no longer than handing it to a thread; tools may be of any length."""
    if any(message.extra for message in messages) or any(isinstance(one, list | dict) for one in options.values()):
        return False
    return sum(len(message.content) for message in messages) <= AT_ONCE
