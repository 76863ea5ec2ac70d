"""Rates and quantiles of what happened between two readings, as Prometheus's ``increase`` and ``histogram_quantile``.

Quantiles: https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from maestro.serving.reading import Buckets, Counter, Histogram, Reading
from maestro.serving.settings import Kind


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane in numbers; None: not known, which is not 0.

    Args:
        running: requests worked on; waiting: in the queue; batch: running ones per replica.
        kv_cache, prefix_hits, gpu: shares, 0 to 1; ``prefix_hits`` of the tokens looked for.
        generated, prompted: tokens a second.
        ttft_p50, ttft_p95: seconds to the first token; e2e_p50, e2e_p99: of a whole request.
        cores: CPU cores in use.
        seconds: the time rates and quantiles are over; 0: there was one reading, so there are none.
    """

    kind: Kind
    running: float | None = None
    waiting: float | None = None
    replicas: int | None = None
    batch: float | None = None
    kv_cache: float | None = None
    prefix_hits: float | None = None
    generated: float | None = None
    prompted: float | None = None
    ttft_p50: float | None = None
    ttft_p95: float | None = None
    e2e_p50: float | None = None
    e2e_p99: float | None = None
    requests: float | None = None
    gpu: float | None = None
    cores: float | None = None
    seconds: float = 0.0


def measure(now: Reading, before: Reading | None = None) -> Lane:
    """The lane between two readings of it; without an earlier one only what is a gauge."""
    seconds = now.at - before.at if before is not None else 0.0
    batch = now.running / now.replicas if now.running is not None and now.replicas else None
    lane = Lane(
        now.kind, now.running, now.waiting, now.replicas, batch, now.kv_cache, gpu=now.gpu, cores=now.cores,
        generated=now.throughput,
    )  # fmt: skip
    if before is None or seconds <= 0:
        return lane
    asked, found = increase(now.asked, before.asked), increase(now.found, before.found)
    first, whole = grown(now.first_token, before.first_token), grown(now.whole, before.whole)
    generated = _rate(now.generated, before.generated, seconds)
    cores = _rate(now.cpu_seconds, before.cpu_seconds, seconds)
    return Lane(
        now.kind,
        now.running,
        now.waiting,
        now.replicas,
        batch,
        now.kv_cache,
        prefix_hits=min(1.0, (found or 0.0) / asked) if asked else None,
        generated=generated if generated is not None else now.throughput,
        prompted=_rate(now.prompted, before.prompted, seconds),
        ttft_p50=quantile(0.5, first),
        ttft_p95=quantile(0.95, first),
        e2e_p50=quantile(0.5, whole),
        e2e_p99=quantile(0.99, whole),
        requests=whole[math.inf] / seconds if math.inf in whole else None,
        gpu=now.gpu,
        cores=now.cores if now.cores is not None else cores,
        seconds=seconds,
    )


def increase(now: Counter, before: Counter) -> float | None:
    """By how much the series grew together; one that started anew counts from 0, one that is new counts nothing."""
    if not now:
        return None
    return sum(_grown(value, before[labels]) for labels, value in now.items() if labels in before)


def grown(now: Histogram, before: Histogram) -> Buckets:
    """What fell into the buckets of all series since; cumulative, as they are."""
    total: dict[float, float] = {}
    for labels, buckets in now.items():
        earlier = before.get(labels)
        if earlier is None:
            continue
        # Every bucket of a server that started anew starts anew.
        anew = buckets.get(math.inf, 0.0) < earlier.get(math.inf, 0.0)
        for bound, count in buckets.items():
            total[bound] = total.get(bound, 0.0) + count - (0.0 if anew else min(count, earlier.get(bound, 0.0)))
    return total


def quantile(share: float, buckets: Buckets) -> float | None:
    """The value below which ``share`` of the observations lie, taken as even within a bucket; None: there were none.

    What lies in the last bucket is at least its lower bound, which is what is told.
    """
    bounds = sorted(buckets)
    total = buckets.get(math.inf, 0.0)
    if len(bounds) < 2 or bounds[-1] != math.inf or total <= 0:
        return None
    rank, lower, below = share * total, 0.0, 0.0
    for bound in bounds:
        # A scrape in the middle of an observation can leave a bucket behind the one before it.
        count = max(below, buckets[bound])
        if count >= rank:
            if bound == math.inf:
                return lower
            if bound <= 0 or count == below:
                return bound
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower


def _grown(now: float, before: float) -> float:
    return now - before if now >= before else now


def _rate(now: Counter, before: Counter, seconds: float) -> float | None:
    more = increase(now, before)
    return more / seconds if more is not None else None
