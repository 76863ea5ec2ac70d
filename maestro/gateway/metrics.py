"""What the gateway counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from maestro.gateway.body import Budget
from maestro.gateway.secrets import HookRegistry
from maestro.inbox import InboxWriter

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one gateway; no label holds anything that was sent."""

    def __init__(self, writer: InboxWriter, budget: Budget, registry: HookRegistry) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter(
            "maestro_gateway_webhooks",
            "Webhooks by sender and what became of them.",
            ("provider", "outcome"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "maestro_gateway_answer_seconds",
            "From a request's headers to its answer, of webhooks that were taken.",
            ("provider",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.registry.register(_State(writer, budget, registry))


class _State(Collector):
    def __init__(self, writer: InboxWriter, budget: Budget, registry: HookRegistry) -> None:
        self._writer, self._budget, self._registry = writer, budget, registry

    def collect(self) -> Iterable[Metric]:
        """What is so now."""
        hooks = self._registry.hooks
        values = {
            "maestro_gateway_inbox_waiting": ("Deliveries waiting to be written.", self._writer.waiting),
            "maestro_gateway_inbox_failing": (
                "1 while the inbox cannot be written.",
                int(self._writer.failure is not None),
            ),
            "maestro_gateway_inbox_commits": ("Commits since the start.", self._writer.batches),
            "maestro_gateway_body_bytes": ("Bytes of bodies held in memory.", self._budget.used),
            "maestro_gateway_projects": ("Projects known.", len(hooks.projects)),
            "maestro_gateway_secrets_unreadable": (
                "References to secrets that lead to nothing.",
                len(hooks.unreadable),
            ),
        }
        for name, (about, value) in values.items():
            yield GaugeMetricFamily(name, about, value)
