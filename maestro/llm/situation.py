"""Gathers what a decision is made from: keys, breakers, budgets, latencies, policy, overrides, what Ollama says."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from maestro.ledger.model import Attribution, Balance, BudgetExceededError, Scope, Unit
from maestro.llm.breaker import Breakers
from maestro.llm.catalogue import Catalogue, Model
from maestro.llm.charging import bounds
from maestro.llm.decide import candidates_of, decide
from maestro.llm.keyring import Keyring
from maestro.llm.latencies import Latencies
from maestro.llm.model import Decision, ModelRequest
from maestro.llm.refreshed import Refreshed
from maestro.llm.sharing import Sharing
from maestro.llm.state import OllamaState, Override, PolicyVerdict, State
from maestro.llm.tokens import TokenCount

Limits = Mapping[Scope, Mapping[Unit, int]]
BALANCES_SECONDS = 1.0
"""Budgets are read again after so long. The ledger itself refuses; here they only steer the choice."""
VERDICT_SECONDS = 30.0
"""A policy's word may have been that it could not be asked."""
REMEMBERED = 1024


async def _no_ollama() -> OllamaState:
    return OllamaState()


async def _no_queues() -> Mapping[str, int]:
    return {}


async def _no_overrides() -> Sequence[Override]:
    return ()


@dataclass(frozen=True, slots=True)
class Sources:
    """Where facts come from that the gateway does not know itself. All may be left out.

    Args:
        policy: what the policy package ``models`` says of one model for one request; asked in a thread of its own,
            remembered by what it was asked.
        ollama, queues, overrides: looked up every few seconds; a failure leaves the last known.
    """

    policy: (
        Callable[[Model, ModelRequest, Attribution, int | None], tuple[Hashable, Callable[[], PolicyVerdict]]] | None
    ) = None
    ollama: Callable[[], Awaitable[OllamaState]] = _no_ollama
    queues: Callable[[], Awaitable[Mapping[str, int]]] = _no_queues
    overrides: Callable[[], Awaitable[Sequence[Override]]] = _no_overrides


@dataclass(slots=True)
class Situation:
    """For one event loop.

    Args:
        read_balances: the ledger's balances of scopes, given the workflow's limits; called in a thread.
        sharing: what this gateway and others on the same database found of deployments.
    """

    catalogue: Catalogue
    keyring: Keyring
    breakers: Breakers
    latencies: Latencies
    read_balances: Callable[[Sequence[Scope], Limits], Sequence[Balance]]
    sharing: Sharing
    sources: Sources = field(default_factory=Sources)
    _balances: OrderedDict[Hashable, tuple[float, tuple[Balance, ...]]] = field(default_factory=OrderedDict)
    _verdicts: OrderedDict[Hashable, tuple[float, PolicyVerdict]] = field(default_factory=OrderedDict)
    _ollama: Refreshed[OllamaState] = field(init=False)
    _queues: Refreshed[Mapping[str, int]] = field(init=False)
    _overrides: Refreshed[Sequence[Override]] = field(init=False)

    def __post_init__(self) -> None:
        self._ollama = Refreshed(self.sources.ollama, OllamaState())
        self._queues = Refreshed[Mapping[str, int]](self.sources.queues, {})
        self._overrides = Refreshed[Sequence[Override]](self.sources.overrides, (), fresh=1.0, stale=1.0)

    async def decide(
        self,
        request: ModelRequest,
        attribution: Attribution,
        tokens: TokenCount,
        limits: Limits,
        catalogue: Catalogue | None = None,
    ) -> Decision:
        """The decision about this request, as things are now.

        Args:
            catalogue: for this request; None: the gateway's own.

        Raises:
            NoModelError: the target names nothing.
        """
        catalogue = self.catalogue if catalogue is None else catalogue
        state = await self._state(request, attribution, tokens, limits, catalogue)
        return decide(request, attribution, state, catalogue, tokens=tokens)

    def exceeded(
        self, decision: Decision, attribution: Attribution, limits: Limits, needed: Mapping[str, Mapping[Unit, int]]
    ) -> BudgetExceededError | None:
        """The budget that leaves no candidate; None where that is not the reason.

        Args:
            needed: model -> what a call needs at most.
        """
        too_dear = [
            needed[verdict.model]
            for verdict in decision.candidates
            if verdict.skipped and all(code == "over_budget" for code, _sentence in verdict.skipped)
        ]
        if not too_dear:
            return None
        found: BudgetExceededError | None = None
        for balance in self._known(attribution, limits):
            asked = min(amounts[balance.unit] for amounts in too_dear) if balance.unit in too_dear[0] else 0
            if balance.limit is not None and balance.spent + asked > balance.limit:
                return BudgetExceededError(balance, asked)  # Nothing that comes back would help.
            if found is None and balance.left is not None and balance.left < asked:
                found = BudgetExceededError(balance, asked)
        return found

    def forget_balances(self) -> None:
        """They changed more than a little."""
        self._balances.clear()

    async def close(self) -> None:
        """Nothing is looked up any more."""
        for one in (self._ollama, self._queues, self._overrides):
            await one.close()
        await self.sharing.close()

    async def _state(
        self,
        request: ModelRequest,
        attribution: Attribution,
        tokens: TokenCount,
        limits: Limits,
        catalogue: Catalogue,
    ) -> State:
        at = datetime.now(UTC)
        await self._read(attribution, limits)
        await self.sharing.listen()
        overrides = tuple(await self._overrides.value())
        return State(
            at=at,
            keys=self.keyring.present,
            unusable_keys=self.keyring.unusable,
            unhealthy=self.sharing.unhealthy(),
            breakers=self.breakers.open_ones(at),
            balances=self._known(attribution, limits),
            latency=self.latencies.summary(),
            queue=await self._queues.value(),
            policy=await self._policy(request, attribution, tokens, overrides, catalogue),
            ollama=await self._ollama.value(),
            overrides=overrides,
        )

    async def _read(self, attribution: Attribution, limits: Limits) -> None:
        key = _key(attribution, limits)
        found = self._balances.get(key)
        if found is not None and time.monotonic() - found[0] < BALANCES_SECONDS:
            return
        balances = tuple(await asyncio.to_thread(self.read_balances, attribution.scopes(), limits))
        self._balances[key] = (time.monotonic(), balances)
        while len(self._balances) > REMEMBERED:
            self._balances.popitem(last=False)

    def _known(self, attribution: Attribution, limits: Limits) -> tuple[Balance, ...]:
        found = self._balances.get(_key(attribution, limits))
        return () if found is None else found[1]

    async def _policy(
        self,
        request: ModelRequest,
        attribution: Attribution,
        tokens: TokenCount,
        overrides: Sequence[Override],
        catalogue: Catalogue,
    ) -> Mapping[str, PolicyVerdict] | None:
        ask = self.sources.policy
        if ask is None:
            return None
        verdicts: dict[str, PolicyVerdict] = {}
        for model in candidates_of(request, catalogue, overrides):
            most = bounds(model, tokens.at_most, request.max_output_tokens)
            worst = most.amounts()[Unit.USD] if model.price else None
            facts, evaluate = ask(model, request, attribution, worst)
            until, verdict = self._verdicts.get(facts, (0.0, None))
            if verdict is None or time.monotonic() > until:
                verdict = await asyncio.to_thread(evaluate)
                self._verdicts[facts] = (time.monotonic() + VERDICT_SECONDS, verdict)
                while len(self._verdicts) > REMEMBERED:
                    self._verdicts.popitem(last=False)
            verdicts[model.name] = verdict
        return verdicts


def _key(attribution: Attribution, limits: Limits) -> Hashable:
    return attribution.scopes(), tuple((scope, *amounts.items()) for scope, amounts in limits.items())
