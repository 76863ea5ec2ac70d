"""The names each kind of server has for what a lane tells.

vLLM: https://docs.vllm.ai/en/stable/usage/metrics/ (engine V1, and V0's names where they differ). Ray Serve:
https://docs.ray.io/en/latest/serve/monitoring.html, read off Ray 2.60. llama.cpp: its server's README, ``--metrics``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from maestro.serving.exposition import Sample, Samples, ScrapeError
from maestro.serving.reading import Counter, Histogram, Labels, Reading
from maestro.serving.settings import Kind, LaneSettings

_VLLM = ("vllm:", "ray_vllm:", "ray_vllm_")
"""As vLLM writes it, and as it comes out of Ray Serve LLM, older and newer."""
_RAY = "ray_serve_"
_LLAMA = "llamacpp:"


def reading_of(samples: Samples, lane: LaneSettings, at: float) -> Reading:
    """What the samples say of the lane.

    Raises:
        ScrapeError: they are of no server that is known, or none of them is the lane's.
    """
    kind = lane.kind if lane.kind != "auto" else _kind(samples)
    reading = _READERS[kind](samples, lane, at)
    if reading.running is None and reading.waiting is None:
        which = " ".join(
            f"{name} '{value}'"
            for name, value in (
                ("model", lane.model),
                ("application", lane.application),
                ("deployment", lane.deployment),
            )
            if value
        )
        raise ScrapeError(
            f"the metrics tell nothing of {which or 'any requests'}",
            next_step="see that the lane's kind and names are those of the server",
        )
    return reading


def _kind(samples: Samples) -> Kind:
    if any(name.startswith(_VLLM) for name in samples):
        return "vllm"
    if any(name.startswith(_RAY) for name in samples):
        return "ray"
    if any(name.startswith(_LLAMA) for name in samples):
        return "llamacpp"
    raise ScrapeError(
        "the metrics are of no server that is known (vLLM, Ray Serve, llama.cpp)",
        next_step="see that the lane's URL leads to the server's /metrics; llama.cpp's needs --metrics",
    )


def _vllm(samples: Samples, lane: LaneSettings, at: float) -> Reading:
    prefix = next((one for one in _VLLM if any(name.startswith(one) for name in samples)), _VLLM[0])

    def own(*names: str) -> Sequence[Sample]:
        """Lines of the first name there is: a newer one before what it replaced."""
        for name in names:
            found = [
                one
                for one in samples.get(prefix + name, ())
                if not lane.model or one.labels.get("model_name") == lane.model
            ]
            if found:
                return found
        return ()

    running = own("num_requests_running")
    return Reading(
        kind="vllm",
        at=at,
        running=_sum(running),
        waiting=_sum(own("num_requests_waiting")),
        replicas=len(running) or None,
        kv_cache=_most(own("kv_cache_usage_perc", "gpu_cache_usage_perc")),
        gpu=_gpu(samples),
        cpu_seconds=_counter(samples.get("process_cpu_seconds_total", ())),
        generated=_counter(own("generation_tokens_total", "generation_tokens")),
        prompted=_counter(own("prompt_tokens_total", "prompt_tokens")),
        asked=_counter(own("prefix_cache_queries_total", "prefix_cache_queries", "gpu_prefix_cache_queries_total")),
        found=_counter(own("prefix_cache_hits_total", "prefix_cache_hits", "gpu_prefix_cache_hits_total")),
        first_token=_histogram(own("time_to_first_token_seconds_bucket")),
        whole=_histogram(own("e2e_request_latency_seconds_bucket")),
    )


def _ray(samples: Samples, lane: LaneSettings, at: float) -> Reading:
    def own(name: str, *, deployments: bool = True) -> Sequence[Sample]:
        return [
            one
            for one in samples.get(_RAY + name, ())
            if (not lane.application or one.labels.get("application") == lane.application)
            and (not deployments or not lane.deployment or one.labels.get("deployment") == lane.deployment)
        ]

    running = own("replica_processing_queries")
    # What HTTP clients see knows of applications only; a deployment has the time in its replicas.
    whole = own("deployment_processing_latency_ms_bucket") if lane.deployment else own("http_request_latency_ms_bucket")
    return Reading(
        kind="ray",
        at=at,
        running=_sum(running),
        waiting=_sum(own("deployment_queued_queries")),
        replicas=int(_sum(own("deployment_replica_healthy")) or 0) or len(running) or None,
        gpu=_gpu(samples),
        cores=_cores(samples),
        whole=_histogram(whole, unit=0.001),
    )


def _llamacpp(samples: Samples, _lane: LaneSettings, at: float) -> Reading:
    def own(name: str) -> Sequence[Sample]:
        return samples.get(_LLAMA + name, ())

    running = own("requests_processing")
    return Reading(
        kind="llamacpp",
        at=at,
        running=_sum(running),
        waiting=_sum(own("requests_deferred")),
        replicas=len(running) or None,
        # Left out by newer versions.
        kv_cache=_most(own("kv_cache_usage_ratio")),
        gpu=_gpu(samples),
        throughput=_sum(own("predicted_tokens_seconds")),
        generated=_counter(own("tokens_predicted_total")),
        prompted=_counter(own("prompt_tokens_total")),
    )


_READERS: Mapping[Kind, Callable[[Samples, LaneSettings, float], Reading]] = {
    "vllm": _vllm,
    "ray": _ray,
    "llamacpp": _llamacpp,
}


def _gpu(samples: Samples) -> float | None:
    """Of Ray's nodes, or of NVIDIA's exporter where a Prometheus gives out both."""
    percent = samples.get("ray_node_gpus_utilization") or samples.get("DCGM_FI_DEV_GPU_UTIL") or ()
    return sum(one.value for one in percent) / len(percent) / 100 if percent else None


def _cores(samples: Samples) -> float | None:
    used = samples.get("ray_node_cpu_utilization", ())
    count = {one.labels.get("ip"): one.value for one in samples.get("ray_node_cpu_count", ())}
    return sum(one.value / 100 * count.get(one.labels.get("ip"), 0.0) for one in used) if used else None


def _sum(samples: Sequence[Sample]) -> float | None:
    return sum(one.value for one in samples) if samples else None


def _most(samples: Sequence[Sample]) -> float | None:
    return max(one.value for one in samples) if samples else None


def _counter(samples: Sequence[Sample]) -> Counter:
    return {_labels(one): one.value for one in samples}


def _histogram(samples: Sequence[Sample], unit: float = 1.0) -> Histogram:
    found: dict[Labels, dict[float, float]] = {}
    for one in samples:
        try:
            bound = float(one.labels.get("le", ""))
        except ValueError:
            continue
        if not math.isnan(bound):
            found.setdefault(_labels(one), {})[bound * unit] = one.value
    return found


def _labels(sample: Sample) -> Labels:
    return tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
