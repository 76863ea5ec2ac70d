"""What is asked of a model and what comes back, the same for every provider.

Money is nanodollars (``maestro.ledger``), times are seconds unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from maestro.errors import InputError, MaestroError
from maestro.ledger.model import Attribution

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Args:
        extra: what OpenAI's format has beside: ``tool_calls``, ``tool_call_id``, ``name``.
    """

    role: Role
    content: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PromptRef:
    """The prompt a request was rendered from.

    Args:
        digest: ``sha256:…`` of the prompt's canonical content.
        policy: what its file says under ``policy``: facts for the policy for models.
    """

    name: str
    version: str
    digest: str
    policy: Mapping[str, str | int | float | bool] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What is asked.

    Args:
        target: name of a model, of a route, or a capability (``code``, ``vision`` …); empty: the default route.
        fallback: further targets, in order, when no candidate of the target is left or all of them failed.
        max_output_tokens: bound of the answer, and so of its cost.
        needs: capabilities the model must have.
        regions: where the data may go; empty: what the route and the policy say.
        min_quality: 0 to 1; None: what the route says.
        max_nano: most this one request may cost; None: what the budgets say.
        timeout: of the whole request, fallbacks included.
        cache: whether an answer to the very same request may be used again; only asked where temperature is 0.
        personal: texts marked as personal data, replaced before anything leaves.
        options: further parameters of OpenAI's chat completions (``tools``, ``response_format``, ``stop``, ``seed`` …).
        idempotency: equal for repeats of the same request of the same step, which find what was paid for whatever the
            temperature; empty: every request is its own.
        branch: it is asked for a revision of; empty: not known, as of tags.
    """

    messages: Sequence[Message]
    target: str = ""
    fallback: tuple[str, ...] = ()
    max_output_tokens: int = 1024
    temperature: float = 0.0
    needs: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    min_quality: float | None = None
    max_nano: int | None = None
    timeout: float = 120.0
    cache: bool = True
    personal: tuple[str, ...] = ()
    prompt: PromptRef | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    idempotency: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the provider counted them; ``estimated`` when it did not say."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """What a provider answered, before anybody knows what it cost.

    Args:
        text: empty when the model called tools or refused.
        finish: ``stop``, ``length``, ``tool_calls``, ``content_filter``.
        raw: the message in OpenAI's format, for what passes it on.
    """

    text: str
    usage: Usage
    finish: str = "stop"
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed answer.

    Args:
        delta: in OpenAI's format (``{"content": "…"}``).
        usage: with the last one, when the provider says.
    """

    delta: Mapping[str, Any]
    finish: str | None = None
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """The piece of text, if it is one."""
        return str(self.delta.get("content") or "")


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """A request for one deployment.

    Args:
        wire_model: as the provider names it.
        api_base, api_key: None: the provider's own, or none needed. The key is never shown.
        timeout: seconds until the whole answer is there; first_byte: until anything is.
        byte_limit: of the whole answer; an endless one is cut off there with ProviderError.
    """

    wire_model: str
    messages: Sequence[Message]
    max_output_tokens: int
    temperature: float
    options: Mapping[str, Any]
    api_base: str | None
    api_key: str | None = field(repr=False)
    timeout: float = 120.0
    first_byte: float = 60.0
    byte_limit: int = 8 * 1024 * 1024


class Provider(Protocol):
    """Speaks to one kind of endpoint; knows nothing of budgets. One instance serves many concurrent calls."""

    name: str

    async def complete(self, call: ProviderCall) -> Completion:
        """The whole answer.

        Raises:
            ProviderError: there is none; says whether another try may help.
        """
        ...

    def stream(self, call: ProviderCall) -> AsyncIterator[Chunk]:
        """The answer as it comes.

        Raises:
            ProviderError: as ``complete``, before the first chunk or between two.
        """
        ...

    async def healthy(self, call: ProviderCall) -> str | None:
        """Why the deployment cannot be used right now; None: it can. Costs nothing."""
        ...

    async def close(self) -> None:
        """Ends its connections."""
        ...


class ProviderError(MaestroError):
    """A provider did not answer as it should.

    Args:
        kind: ``rate_limit``, ``timeout``, ``unavailable`` (5xx, refused connection), ``garbage`` (truncated, not JSON,
            endless), ``auth``, ``bad_request``, ``context``, ``refused`` (content filter).
        retry: whether the same deployment may be tried again.
        retry_after: seconds the provider asked to wait.
        sent: False when it is certain that nothing reached the model, so that nothing is charged.
        usage: what the provider says was used all the same.
    """

    def __init__(
        self,
        what: str,
        *,
        kind: str,
        retry: bool = False,
        retry_after: float | None = None,
        sent: bool = True,
        usage: Usage | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(what, next_step=next_step)
        self.kind = kind
        self.retry = retry
        self.retry_after = retry_after
        self.sent = sent
        self.usage = usage


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was thought of one candidate.

    Args:
        skipped: reason codes with their sentence, empty for one that could be used: ``no_key``, ``unhealthy``,
            ``breaker_open``, ``over_budget``, ``context``, ``region``, ``policy``, ``quality_floor``,
            ``price_unknown``, ``capability``, ``memory``, ``not_running``, ``override``, ``rule``.
        scores: name of the criterion -> number (``quality``, ``cost``, ``latency``, ``weight``, ``total``); all finite.
        worst_nano: what the request costs at most there; None: unknown.
    """

    model: str
    provider: str
    skipped: tuple[tuple[str, str], ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    worst_nano: int | None = None
    region: str = ""

    @property
    def usable(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.skipped


@dataclass(frozen=True, slots=True)
class Decision:
    """Which model, and why; kept before the call is made.

    Args:
        id: ``dec_…``, sortable by time.
        chosen: name of the model; None: none was left, and ``why`` says what to do.
        why: one sentence for a newcomer.
        order: the models to be tried, the chosen one first.
        objective: ``cost``, ``latency``, ``quality`` or ``pinned``.
        downshift: scopes over 80 %, because of which the cheapest was preferred.
        policy: result of the policy gate (``allow``, reasons), None where no policy was asked.
        override: id of the override that decided.
        catalogue: digest of models.yaml as it was in effect.
    """

    id: str
    at: datetime
    attribution: Attribution
    target: str
    route: str
    objective: str
    candidates: tuple[Verdict, ...]
    chosen: str | None
    why: str
    order: tuple[str, ...] = ()
    input_tokens: int = 0
    max_output_tokens: int = 0
    downshift: tuple[str, ...] = ()
    policy: Mapping[str, Any] | None = None
    override: str | None = None
    prompt: PromptRef | None = None
    catalogue: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of one deployment.

    Args:
        outcome: ``ok``, or the kind of the ProviderError.
    """

    model: str
    outcome: str
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, by whom, and what it cost.

    Args:
        first_token: seconds until the first piece; equals ``seconds`` where it was not streamed.
        offline: made without any model; such an answer is always labelled.
        cached: from the cache of answers; costs nothing but what failed before it.
    """

    text: str
    model: str
    provider: str
    usage: Usage
    cost_nano: int
    seconds: float
    first_token: float
    decision: str
    finish: str = "stop"
    cached: bool = False
    offline: bool = False
    attempts: tuple[Attempt, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


class NoModelError(InputError):
    """No candidate was left, or the target names nothing; carries the decision when there is one."""

    def __init__(self, what: str, *, decision: Decision | None = None, next_step: str | None = None) -> None:
        super().__init__(what, next_step=next_step)
        self.decision = decision
