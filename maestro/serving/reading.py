"""One look at a lane: gauges as they are, counters and histograms by their series, so that each can start anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from maestro.serving.settings import Kind

Labels = tuple[tuple[str, str], ...]
Counter = Mapping[Labels, float]
Buckets = Mapping[float, float]
"""Upper bound -> how many were at most that; the last bound is infinity."""
Histogram = Mapping[Labels, Buckets]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a server says at one moment; None: it does not say.

    Args:
        at: seconds of a monotonic clock.
        running: requests being worked on; waiting: requests in the queue.
        replicas: engines or replicas that report.
        kv_cache: share of the fullest cache that is in use, 0 to 1.
        gpu: mean share of the GPUs in use, 0 to 1.
        cores: CPU cores in use, where it is a gauge; cpu_seconds where it is a counter.
        generated, prompted: tokens; asked, found: tokens looked for in the prefix cache, and those that were there.
        first_token, whole: seconds.
        throughput: tokens a second, where the server only says that.
    """

    kind: Kind
    at: float
    running: float | None = None
    waiting: float | None = None
    replicas: int | None = None
    kv_cache: float | None = None
    gpu: float | None = None
    cores: float | None = None
    throughput: float | None = None
    cpu_seconds: Counter = field(default_factory=dict)
    generated: Counter = field(default_factory=dict)
    prompted: Counter = field(default_factory=dict)
    asked: Counter = field(default_factory=dict)
    found: Counter = field(default_factory=dict)
    first_token: Histogram = field(default_factory=dict)
    whole: Histogram = field(default_factory=dict)
