"""What the OpenAI-compatible endpoint counts, for Prometheus; no label holds anything that was sent."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from maestro.gateway.llm_events import Ending
from maestro.ledger.model import NANO, BudgetExceededError
from maestro.llm.model import Usage

NOBODY = "none"
"""The model of a request that none was asked for, or none answered."""
OTHERS = "other"
MOST_MODELS = 200
"""Names of models are the catalogue's; from so many on they are counted together."""
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class LlmMetrics:
    """The counters of one endpoint.

    Args:
        registry: whose exposition has them; None: one of its own.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._models: set[str] = set()
        self._requests = Counter(
            "maestro_llm_requests",
            "Requests for completions by the model that answered and what became of them.",
            ("model", "outcome"),
            registry=self.registry,
        )
        self._tokens = Counter(
            "maestro_llm_tokens",
            "Tokens by model; those of the input that the provider had cached count as input too.",
            ("model", "kind"),
            registry=self.registry,
        )
        self._dollars = Counter(
            "maestro_llm_cost_dollars",
            "Dollars by model, of answers and of failures that cost all the same.",
            ("model",),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "maestro_llm_seconds",
            "From a request to the end of its answer, by model; of those that were answered.",
            ("model",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._refused = Counter(
            "maestro_llm_reservations_refused",
            "Requests that a budget did not hold, by the kind of its scope.",
            ("scope",),
            registry=self.registry,
        )

    def ended(self, ending: Ending, seconds: float) -> None:
        """A request is over."""
        answer = ending.answer
        if answer is not None and ending.outcome == "ok":
            label = self._label(answer.model)
            self._requests.labels(label, "cached" if answer.cached else "ok").inc()
            self._seconds.labels(label).observe(seconds)
        else:
            label = self._label(ending.streaming or _asked_last(ending.error))
            self._requests.labels(label, ending.outcome).inc()
            if isinstance(ending.error, BudgetExceededError):
                self._refused.labels(ending.error.balance.scope.kind).inc()
        if answer is not None and not answer.cached:
            self._used(label, answer.usage)
        if ending.cost_nano:
            self._dollars.labels(label).inc(ending.cost_nano / NANO)

    def _used(self, model: str, usage: Usage) -> None:
        for kind, count in (
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cached", usage.cached_tokens),
        ):
            if count:
                self._tokens.labels(model, kind).inc(count)

    def _label(self, model: str) -> str:
        if not model:
            return NOBODY
        if model not in self._models and len(self._models) >= MOST_MODELS:
            return OTHERS
        self._models.add(model)
        return model


def _asked_last(error: Exception | None) -> str:
    attempts = getattr(error, "attempts", ())
    return str(attempts[-1].model) if attempts else ""
