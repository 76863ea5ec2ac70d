"""What is set for a lane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from maestro.errors import InputError

Kind = Literal["auto", "vllm", "ray", "llamacpp"]


@dataclass(frozen=True, slots=True)
class Slo:
    """Bounds a lane is to keep; None: none.

    Args:
        ttft_p95: seconds to the first token; e2e_p99: seconds of a whole request.
        queue: requests that wait; kv_cache: share of the cache in use, 0 to 1.
    """

    ttft_p95: float | None = None
    e2e_p99: float | None = None
    queue: float | None = None
    kv_cache: float | None = None


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many replicas a lane may have, and what each is to carry.

    Args:
        requests: running and waiting ones per replica.
        kv_cache: share of the cache in use that is aimed at, 0 to 1.
    """

    least: int = 1
    most: int = 4
    requests: float = 8.0
    kv_cache: float = 0.8


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """One lane: a model on one or more replicas of a server.

    Args:
        url: of the metrics. With several replicas it must tell of all of them each time: the ``/federate`` of a
            Prometheus that scrapes them, not a load balancer.
        model: value of ``model_name``, where the server has several models; empty: all.
        application, deployment: of Ray Serve; empty: all.
        interval: seconds between two scrapes; window: over which rates and quantiles are taken.
        stale: seconds after which what was read counts as nothing.
        timeout: of one scrape.

    Raises:
        InputError: a number makes no sense, or ``url`` is none.
    """

    name: str
    url: str
    kind: Kind = "auto"
    model: str = ""
    application: str = ""
    deployment: str = ""
    slo: Slo = Slo()
    scaling: Scaling = Scaling()
    interval: float = 10.0
    window: float = 60.0
    stale: float = 45.0
    timeout: float = 5.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _wrong(self.name, f"its metrics URL '{self.url}' is no http or https URL")
        if parts.username or parts.password:
            raise _wrong(self.name, "its metrics URL holds a user name or a password")
        if not 0 <= self.scaling.least <= self.scaling.most or self.scaling.most < 1:
            raise _wrong(self.name, f"it is to have {self.scaling.least} to {self.scaling.most} replicas")
        if self.scaling.requests <= 0 or not 0 < self.scaling.kv_cache <= 1:
            raise _wrong(self.name, "what a replica is to carry must be above 0, and its cache share at most 1")
        if not 0 < self.interval <= self.stale or self.window <= 0 or self.timeout <= 0:
            raise _wrong(self.name, "its times must be above 0, and `stale` not less than `interval`")


def _wrong(lane: str, what: str) -> InputError:
    return InputError(f"the serving lane '{lane}' cannot be used: {what}", next_step="correct it in models.yaml")
