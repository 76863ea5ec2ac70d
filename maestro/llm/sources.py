"""Where a gateway looks for what it does not know itself: Ollama, serving lanes, overrides, policy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from maestro.llm.catalogue import Catalogue
from maestro.llm.situation import Sources
from maestro.llm.state import OllamaState, Override

if TYPE_CHECKING:
    import sqlalchemy as sa

    from maestro.llm.overrides import OverrideStore
    from maestro.llm.policy_gate import PolicyGate
    from maestro.policy.engine import PolicyEngine

_PATIENCE_SECONDS = 5.0


def sources_for(
    catalogue: Catalogue,
    engine: sa.Engine,
    environ: Mapping[str, str],
    *,
    policy: PolicyGate | None = None,
    pulls: bool = False,
    policies: Callable[[], PolicyEngine] | None = None,
) -> Sources:
    """The sources of a gateway; each is opened when it is first asked.

    Args:
        engine: of the ledger's database.
        pulls: whether a model Ollama lacks is fetched when it is asked.
        policy: asked about every candidate; None: as the catalogue says.
        policies: opens what evaluates the catalogue's; None: those Maestro ships, in process.

    Raises:
        InputError: the URL of a lane's metrics is none.
    """
    nobody = Sources()
    lanes = nobody.queues
    if any(one.metrics for one in catalogue.models.values()):
        from maestro.llm.surroundings import queue_source

        lanes = queue_source(catalogue)
    policy = policy or _policy(catalogue, policies)
    return Sources(policy=policy, ollama=_ollama(catalogue, environ, pulls), queues=lanes, overrides=_overrides(engine))


def ollama_now(catalogue: Catalogue, environ: Mapping[str, str]) -> OllamaState:
    """What Ollama says of itself, asked now, for what decides outside a gateway; one that takes too long is not there.

    Must not be called from a running event loop.
    """

    async def look() -> OllamaState:
        try:
            return await asyncio.wait_for(_ollama(catalogue, environ, pulls=False)(), _PATIENCE_SECONDS)
        except TimeoutError:
            return OllamaState(running=False)

    return asyncio.run(look())


def _policy(catalogue: Catalogue, policies: Callable[[], PolicyEngine] | None) -> PolicyGate | None:
    if catalogue.policy is None:
        return None
    from maestro.llm.policy_gate import gate_for

    return gate_for(catalogue, policies)


def _overrides(engine: sa.Engine) -> Callable[[], Awaitable[Sequence[Override]]]:
    kept: list[OverrideStore] = []

    def look() -> Sequence[Override]:
        from maestro.llm.overrides import OverrideStore

        if not kept:
            kept.append(OverrideStore(engine))
        return kept[0].list(at=datetime.now(UTC))

    async def overrides() -> Sequence[Override]:
        return await asyncio.to_thread(look)

    return overrides


def _ollama(catalogue: Catalogue, environ: Mapping[str, str], pulls: bool) -> Callable[[], Awaitable[OllamaState]]:
    kept: list[Callable[[], Awaitable[OllamaState]]] = []

    async def ollama() -> OllamaState:
        try:
            if not kept:
                from maestro.llm.surroundings import ollama_source

                kept.append(ollama_source(catalogue, environ, pulls=pulls))
            return await kept[0]()
        except ModuleNotFoundError:
            # Without the extra nobody here can speak to it.
            return OllamaState(running=False)

    return ollama
