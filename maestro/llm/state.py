"""What is known at the moment of a choice: a frozen snapshot, so that a decision depends on nothing else.

Whoever asks models fills it (``maestro.llm.gateway``); :func:`maestro.llm.decide.decide` only reads it. What is left
out counts as nothing known: no key, no trouble, no budget, no waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from maestro.ledger.model import Balance

LONGEST_COOL_DOWN = 3600.0
"""Seconds a deployment is left alone at most, whatever its provider asks for."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker that is open: the deployment failed too often and is left alone for a while.

    Args:
        failures: how many in a row.
        until: when it is tried again.
        last: the last failure, as one phrase (``429 too many requests``).
        asked: seconds the provider asked to be left alone (``Retry-After``), where that is why it is open.
    """

    failures: int
    until: datetime
    last: str = ""
    asked: float | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """How long recent calls of one model took, in seconds.

    Args:
        calls: how many the numbers are from; 0: nothing is known.
        failed: how many of them failed.
    """

    p50: float
    p95: float
    calls: int
    failed: int = 0


@dataclass(frozen=True, slots=True)
class OllamaState:
    """What Ollama says of itself.

    Args:
        running: whether it answers; None: it was not asked, so nothing is refused because of it.
        present: models it has, by the names Ollama uses.
        too_big: model -> sentence that says what memory it needs and what there is.
        pulls: a model that is not present is pulled when it is needed.
        elsewhere: model -> host that Ollama sends what is asked to, in place of running it.
    """

    running: bool | None = None
    present: frozenset[str] = frozenset()
    too_big: Mapping[str, str] = field(default_factory=dict)
    pulls: bool = False
    elsewhere: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """What the policy package ``models`` said of one candidate.

    Args:
        reasons: sentences; empty when it is allowed.
        decision: id of the policy's decision; empty where there is none.
    """

    allow: bool
    reasons: tuple[str, ...] = ()
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Override:
    """A person's word that one target goes to one model, for a while.

    Args:
        id: ``ovr_…``.
        target: the model, route or capability asked for; ``*``: any, also none.
        model: what is used in its place.
        reason: why; never empty.
        scope: whose requests: the text of a ledger scope without a month (``project:acme/app``, ``tenant:acme``).
        expires: from then on it means nothing.
        strict: nothing but this model is used, not even when it fails.
    """

    id: str
    target: str
    model: str
    reason: str
    scope: str
    actor: str
    created: datetime
    expires: datetime
    strict: bool = False
    revoked: datetime | None = None
    revoked_by: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """The snapshot.

    Args:
        at: now, UTC.
        keys: references to keys that resolve, as the catalogue has them (``env:OPENAI_API_KEY``).
        unusable_keys: references to something that cannot be a key -> why; never with the value.
        unhealthy: model -> why it cannot be used right now.
        breakers: model -> its open breaker.
        balances: budgets of every scope the request lies in, all units; those without a limit may be left out. Limits
            of the workflow are already in them.
        latency: model -> recent calls.
        queue: model -> requests that wait at its server.
        policy: model -> verdict; a model that is not in it was not asked about. None: no policy is in effect.
        overrides: those that may be meant; expired, revoked and foreign ones are passed over.
    """

    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    keys: frozenset[str] = frozenset()
    unusable_keys: Mapping[str, str] = field(default_factory=dict)
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    balances: tuple[Balance, ...] = ()
    latency: Mapping[str, Latency] = field(default_factory=dict)
    queue: Mapping[str, int] = field(default_factory=dict)
    ollama: OllamaState = OllamaState()
    policy: Mapping[str, PolicyVerdict] | None = None
    overrides: tuple[Override, ...] = ()
