"""Whether a lane keeps its bounds: ``ok``, ``alert`` or ``unknown``, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from maestro.serving.measure import Lane
from maestro.serving.settings import Kind, Slo

_TIMES: Mapping[Kind, tuple[str, ...]] = {"vllm": ("ttft_p95", "e2e_p99"), "ray": ("e2e_p99",), "llamacpp": ()}
"""The times each kind of server tells. Without requests there are none, and that is fine."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a lane is.

    Args:
        why: sentences, one a bound that is not kept, or what is not known; empty when it is ``ok``.
    """

    state: Literal["ok", "alert", "unknown"]
    why: tuple[str, ...] = ()


def judge(lane: Lane | None, slo: Slo, *, trouble: str = "") -> Verdict:
    """The verdict on a lane; a bound on what is not known makes it ``unknown``, one that is not kept ``alert``.

    Args:
        lane: None: nothing is known of it, or what was is too old.
        trouble: why not.
    """
    if lane is None:
        return Verdict("unknown", (trouble or "it has not been asked yet",))
    over: list[str] = []
    unknown: list[str] = []
    for what, value, bound, unit, of_time in (
        ("the time to the first token (p95)", lane.ttft_p95, slo.ttft_p95, " s", "ttft_p95"),
        ("the time of a request (p99)", lane.e2e_p99, slo.e2e_p99, " s", "e2e_p99"),
        ("the queue", lane.waiting, slo.queue, " requests", ""),
        ("the use of the KV cache", lane.kv_cache, slo.kv_cache, "", ""),
    ):
        if bound is None:
            continue
        if value is not None:
            if value > bound:
                over.append(f"{what} is {value:.3g}{unit}, more than {bound:.3g}{unit}")
        elif of_time not in _TIMES[lane.kind]:
            unknown.append(f"{what} is not told by the server")
        elif lane.seconds <= 0:
            unknown.append(f"{what} is not known before the second look")
    if over:
        return Verdict("alert", (*over, *unknown))
    return Verdict("unknown", tuple(unknown)) if unknown else Verdict("ok")
