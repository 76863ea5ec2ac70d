"""Lanes as Prometheus metrics, ``maestro_serving_*``, the same for every kind of server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from maestro.serving.watch import LaneView

_ABOUT = {
    "requests_running": ("running", "Requests being worked on."),
    "requests_waiting": ("waiting", "Requests in the queue."),
    "replicas": ("replicas", "Engines or replicas that report."),
    "batch_size": ("batch", "Running requests per replica."),
    "kv_cache_usage_ratio": ("kv_cache", "Use of the fullest KV cache."),
    "prefix_cache_hit_ratio": ("prefix_hits", "Tokens found in the prefix cache, of those looked for."),
    "generation_tokens_per_second": ("generated", "Tokens generated a second."),
    "prompt_tokens_per_second": ("prompted", "Tokens of prompts a second."),
    "requests_per_second": ("requests", "Requests finished a second."),
    "gpu_utilization_ratio": ("gpu", "Mean use of the GPUs."),
    "cpu_cores": ("cores", "CPU cores in use."),
}
_TIMES = {
    "time_to_first_token_seconds": ("Time to the first token.", (("0.5", "ttft_p50"), ("0.95", "ttft_p95"))),
    "request_seconds": ("Time of a whole request.", (("0.5", "e2e_p50"), ("0.99", "e2e_p99"))),
}


def expose(views: Sequence[LaneView]) -> bytes:
    """The exposition, text format 0.0.4. What is not known is not there: no 0 stands for it."""
    registry = CollectorRegistry()
    registry.register(_Lanes(views))
    return generate_latest(registry)


class _Lanes(Collector):
    def __init__(self, views: Sequence[LaneView]) -> None:
        self._views = views

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        known = [(view.name, view.lane) for view in self._views if view.lane is not None]
        for name, (attribute, about) in _ABOUT.items():
            family = GaugeMetricFamily(f"maestro_serving_{name}", about, labels=("lane", "kind"))
            for lane_name, lane in known:
                value = getattr(lane, attribute)
                if value is not None:
                    family.add_metric((lane_name, lane.kind), value)
            yield family
        for name, (about, quantiles) in _TIMES.items():
            family = GaugeMetricFamily(f"maestro_serving_{name}", about, labels=("lane", "kind", "quantile"))
            for lane_name, lane in known:
                for share, attribute in quantiles:
                    value = getattr(lane, attribute)
                    if value is not None:
                        family.add_metric((lane_name, lane.kind, share), value)
            yield family
        yield from self._of_views()

    def _of_views(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("maestro_serving_up", "1 when the lane answered the last time.", labels=("lane",))
        age = GaugeMetricFamily("maestro_serving_age_seconds", "Since the lane was last read.", labels=("lane",))
        state = GaugeMetricFamily(
            "maestro_serving_slo_state", "1 at the state the lane is in.", labels=("lane", "state")
        )
        desired = GaugeMetricFamily("maestro_serving_desired_replicas", "Replicas the lane wants.", labels=("lane",))
        for view in self._views:
            up.add_metric((view.name,), int(view.lane is not None))
            if view.age is not None:
                age.add_metric((view.name,), view.age)
            for one in ("ok", "alert", "unknown"):
                state.add_metric((view.name, one), int(view.verdict.state == one))
            if view.scale.desired is not None:
                desired.add_metric((view.name,), view.scale.desired)
        yield from (up, age, state, desired)
