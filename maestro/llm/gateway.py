"""The one way to a model: chosen, explained, paid for from a budget before it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from maestro.errors import InputError
from maestro.ledger.model import Attribution, Balance, BudgetExceededError, Crossing, Scope, Unit
from maestro.llm.answer_stream import AnswerStream
from maestro.llm.answers import AnswerCache
from maestro.llm.bookkeeper import Bookkeeper
from maestro.llm.breaker import Breakers
from maestro.llm.catalogue import Catalogue, Model
from maestro.llm.charging import made_in
from maestro.llm.course import Course
from maestro.llm.decisions import DecisionStore, outcome_of, outcome_row
from maestro.llm.findings import FindingStore
from maestro.llm.grant import Grant
from maestro.llm.judging import left_alone
from maestro.llm.keyring import Keyring
from maestro.llm.latencies import Latencies
from maestro.llm.model import (
    Answer,
    Attempt,
    Completion,
    Decision,
    ModelRequest,
    Provider,
    ProviderCall,
    ProviderError,
)
from maestro.llm.patience import Patience
from maestro.llm.redact import Redactor
from maestro.llm.retries import Retries
from maestro.llm.reuse import Reuse
from maestro.llm.sharing import Sharing
from maestro.llm.situation import Limits, Situation, Sources

if TYPE_CHECKING:
    from maestro.artifacts.store import ArtifactStore
    from maestro.ledger.writer import AsyncLedger

_LOG = logging.getLogger(__name__)
HEALTH_SECONDS = 5.0
NO_LIMITS: Limits = {}


class Gateway:
    """Asks models. Belongs to one event loop; ``BlockingGateway`` serves threads.

    Args:
        catalogue: models and routes.
        ledger: where money is set aside; its writer.
        decisions: where decisions are kept, in the ledger's database.
        providers: makes the provider of a model; each provider is made once and closed with the gateway.
        keyring: keys by reference.
        redactor: takes secrets out of what leaves.
        store: where answers are kept to be given again; None: they are not.
        sources: policy, overrides, what Ollama and serving lanes say.
        on_event: told every crossing of a budget's threshold; must not block.
        on_close: called last; whoever opened the ledger for it closes it there.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        ledger: AsyncLedger,
        decisions: DecisionStore,
        providers: Callable[[Model], Provider],
        *,
        keyring: Keyring,
        redactor: Redactor | None = None,
        store: ArtifactStore | None = None,
        sources: Sources | None = None,
        breakers: Breakers | None = None,
        retries: Retries | None = None,
        on_event: Callable[[Crossing], object] | None = None,
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        self.catalogue = catalogue
        self.ledger = ledger
        self.decisions = decisions
        self.keyring = keyring
        self.redactor = redactor or Redactor()
        self.bookkeeper = Bookkeeper(ledger, decisions, self.redactor, self._crossed)
        self.breakers = breakers or Breakers()
        self.latencies = Latencies()
        self.retries = retries or Retries()
        self.sharing = Sharing(
            FindingStore(decisions.engine), catalogue, keyring, self.breakers, lambda said: self.redactor.text(said)
        )
        self.situation = Situation(
            catalogue, keyring, self.breakers, self.latencies, self._balances, self.sharing, sources or Sources()
        )
        self.has_counted = False
        """Whether tokens were counted before in here."""
        self._make_provider = providers
        self._providers: dict[str, Provider] = {}
        self._cache = AnswerCache(store) if store is not None else None
        self._on_event = on_event
        self._on_close = on_close
        self._places: dict[str, asyncio.Semaphore | None] = {}

    async def ask(
        self,
        request: ModelRequest,
        attribution: Attribution,
        *,
        limits: Limits = NO_LIMITS,
        catalogue: Catalogue | None = None,
        patience: Patience | None = None,
    ) -> Answer:
        """The answer to ``request``, charged to ``attribution``.

        Args:
            limits: budgets of the workflow, which can only lower those of the ledger.
            catalogue: for this request; None: the gateway's own. Its models, keys and providers are the gateway's,
                whatever a project restricts, routes and weighs.
            patience: with money other calls have reserved and may give back; None: refused at once.

        Raises:
            NoModelError: the target names nothing, or no candidate is left.
            BudgetExceededError: a budget does not hold it; nothing was sent.
            NoAnswerError: none of the candidates answered; says what was tried.
            InputError: the request cannot be made as it is.
        """
        course = Course(self, request, attribution, limits, catalogue, patience)
        reuse = Reuse(self._cache, course)

        async def kept(model: Model) -> tuple[Answer, None] | None:
            found = await reuse.of(model)
            return None if found is None else (_given_again(course, model, found), None)

        completion: Completion | None = None
        async with self._decided(course):
            own = await reuse.own()
            if own is not None:
                answer = _given_again(course, *own)
            else:
                answer, completion = await course.first_answer(
                    lambda grant, model, call: self._completed(course, grant, model, call), kept
                )
        # The answer is there: what is written down of it now is not in the time it had.
        if answer.cached:
            # Nothing was reserved, so nothing is known of the decision yet.
            await self.bookkeeper.recorded(course.decided, outcome_of(course.decided, answer))
        if completion is not None:
            await reuse.keep(course.catalogue.models[answer.model], completion)
        return answer

    async def stream(
        self,
        request: ModelRequest,
        attribution: Attribution,
        *,
        limits: Limits = NO_LIMITS,
        catalogue: Catalogue | None = None,
    ) -> AnswerStream:
        """The answer as it comes: other candidates are tried until the first piece is there, then no more.

        Close what is given (``async with``), or iterate to its end. Answers are not taken from the cache. Arguments are
        those of :meth:`ask`.

        Raises:
            NoModelError, BudgetExceededError, NoAnswerError, InputError: as :meth:`ask`. Iterating raises
                StreamBrokenError when the answer ends in the middle.
        """
        course = Course(self, request, attribution, limits, catalogue)
        async with self._decided(course):
            return await course.first_answer(
                lambda grant, model, call: AnswerStream.begin(self, course, grant, model, call)
            )

    async def decide(self, request: ModelRequest, attribution: Attribution, *, limits: Limits = NO_LIMITS) -> Decision:
        """What would be chosen now: nothing is set aside, kept or asked.

        Raises:
            NoModelError: the target names nothing. Where no candidate is left, ``chosen`` is None.
        """
        course = Course(self, request, attribution, limits)
        await course.prepare()
        return await course.decided_now()

    async def health(self, models: Sequence[str] | None = None) -> Mapping[str, str | None]:
        """Why each model cannot be used right now, None where it can; looks at all that have their key, and asks none.

        What is found of endpoints is used in decisions for a minute, also in those of other gateways on this database.
        A model whose breaker is open is none that can be used, whatever its endpoint says of itself.
        """
        names = [*self.catalogue.models] if models is None else [*models]
        await self.sharing.listen_now()
        looks = await asyncio.gather(*(self._health(self.catalogue.models[name]) for name in names))
        found = dict(zip(names, looks, strict=True))
        # Of a key, and of Ollama, each decision knows by itself what is true then.
        self.sharing.found({name: why for name, why in found.items() if self._looked_at(self.catalogue.models[name])})
        now = datetime.now(UTC)
        for name, breaker in self.breakers.open_ones(now).items():
            if name in found and found[name] is None:
                found[name] = left_alone(breaker, (breaker.until - now).total_seconds())
        return found

    async def settled(self) -> None:
        """Returns when everything that was spent is in the ledger."""
        await self.bookkeeper.written()

    async def close(self) -> None:
        """Waits for what is to be written, and ends all connections. Streams are to be closed before."""
        await self.settled()
        await self.situation.close()
        for provider in self._providers.values():
            with contextlib.suppress(Exception):
                await provider.close()
        self._providers.clear()
        self.bookkeeper.close()
        if self._cache is not None:
            self._cache.close()
        self._on_close()

    async def __aenter__(self) -> Gateway:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # What Course, Grant and AnswerStream need.

    def provider(self, model: Model) -> Provider:
        """Who answers for this model."""
        name = model.provider
        if name not in self._providers:
            self._providers[name] = self._make_provider(model)
        return self._providers[name]

    def places(self, model: Model) -> asyncio.Semaphore | None:
        """Of the calls of one deployment that run at once; None: not limited."""
        if model.name not in self._places:
            limit = model.concurrency
            self._places[model.name] = asyncio.Semaphore(limit) if limit else None
        return self._places[model.name]

    def settled_answer(
        self, course: Course, grant: Grant, completion: Completion, *, first_token: float | None = None
    ) -> Answer:
        """The answer to pass on; its cost and the outcome are on their way into the ledger, in one transaction."""
        believed = grant.bounds.believed(completion.usage)
        cost = grant.bounds.charge(believed)[Unit.USD]
        course.attempts.append(Attempt(grant.model, "ok", grant.seconds))
        answer = course.answer(
            replace(completion, usage=believed),
            model=grant.bounds.model,
            cost_nano=course.cost_nano + cost,
            first_token=first_token,
        )
        outcome = outcome_row(outcome_of(course.decided, answer))
        grant.answered(completion.usage, (outcome,))
        return answer

    def ended_badly(self, course: Course, error: BaseException) -> None:
        """Keeps what became of a request that has no answer; what it cost is in the ledger already."""
        if course.decision is None:
            return
        if isinstance(error, BudgetExceededError):
            error.decision = course.decision.id
        outcome = outcome_of(course.decision, None, error=error)
        refused = isinstance(error, BudgetExceededError) or getattr(error, "refused", False)
        outcome = replace(
            outcome,
            state="refused" if refused else outcome.state,
            error=self.redactor.text(outcome.error),
            attempts=tuple(course.attempts),
            cost_nano=course.cost_nano,
        )
        self.bookkeeper.record(course.decided, outcome)

    def _balances(self, scopes: Sequence[Scope], limits: Limits) -> Sequence[Balance]:
        return self.ledger.ledger.balances(scopes, limits=limits)

    def _crossed(self, crossings: Sequence[Crossing]) -> None:
        self.situation.forget_balances()
        for crossing in crossings:
            try:
                if self._on_event is not None:
                    self._on_event(crossing)
            except Exception:  # noqa: BLE001 - whoever listens must not stop what is paid for
                _LOG.exception("a crossed budget could not be told")

    @contextlib.asynccontextmanager
    async def _decided(self, course: Course) -> AsyncIterator[None]:
        """After the decision, in the time the request has; when it ends without an answer, its outcome is kept."""
        try:
            async with asyncio.timeout(course.request.timeout) as course.clock:
                await course.prepare()
                await course.decide()
                yield
        except TimeoutError:
            error = course.no_answer(timed_out=True)
            self.ended_badly(course, error)
            raise error from None
        except BaseException as error:
            self.ended_badly(course, error)
            raise

    async def _completed(
        self, course: Course, grant: Grant, model: Model, call: ProviderCall
    ) -> tuple[Answer, Completion | None]:
        completion = await self.provider(model).complete(call)
        if completion.usage.estimated and not model.offline:
            # The offline provider counts by a rule of its own, streamed or not; of the others it says nothing was said.
            made = made_in({**completion.raw, "content": completion.raw.get("content") or completion.text})
            completion = replace(completion, usage=grant.bounds.whole(made))
        answer = self.settled_answer(course, grant, completion)
        return answer, replace(completion, usage=answer.usage)

    def _looked_at(self, model: Model) -> bool:
        return model.kind in ("openai", "litellm") and (model.key is None or model.key in self.keyring.present)

    async def _health(self, model: Model) -> str | None:
        if model.offline:
            return None
        try:
            key = self.keyring.value(model.key)
        except InputError as error:
            return error.what
        call = ProviderCall(model.wire_model, (), 1, 0.0, {}, model.api_base, key, HEALTH_SECONDS, HEALTH_SECONDS)
        try:
            reason = await self.provider(model).healthy(call)
        except ProviderError as error:
            reason = error.what
        return None if reason is None else self.redactor.text(reason)


def _given_again(course: Course, model: Model, completion: Completion) -> Answer:
    """An answer that was kept; it costs nothing beyond what failed before it."""
    return course.answer(completion, model=model, cost_nano=course.cost_nano, cached=True)
