"""Whether a lane keeps its bounds: ``ok``, ``alert`` or ``unknown``, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maestro.serving.measure import Lane
from maestro.serving.settings import Slo


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a lane is.

    Args:
        why: sentences, one a bound that is not kept, or what is not known; empty when it is ``ok``.
    """

    state: Literal["ok", "alert", "unknown"]
    why: tuple[str, ...] = ()


def judge(lane: Lane | None, slo: Slo, *, trouble: str = "") -> Verdict:
    """The verdict on a lane.

    Args:
        lane: None: nothing is known of it, or what was is too old.
        trouble: why not.
    """
    if lane is None:
        return Verdict("unknown", (trouble or "it has not been asked yet",))
    over: list[str] = []
    unknown: list[str] = []

    def check(what: str, value: float | None, bound: float | None, unit: str, needs_two: bool) -> None:
        if bound is None:
            return
        if value is not None:
            if value > bound:
                over.append(f"{what} is {value:.3g}{unit}, more than {bound:.3g}{unit}")
        elif needs_two and lane.seconds <= 0:
            unknown.append(f"{what} is not known before the second look")
        elif not needs_two:
            unknown.append(f"{what} is not told by the server")
        elif what not in _told(lane):
            unknown.append(f"{what} is not told by the server")

    check("the time to the first token (p95)", lane.ttft_p95, slo.ttft_p95, " s", True)
    check("the time of a request (p99)", lane.e2e_p99, slo.e2e_p99, " s", True)
    check("the queue", lane.waiting, slo.queue, " requests", False)
    check("the use of the KV cache", lane.kv_cache, slo.kv_cache, "", False)
    if over:
        return Verdict("alert", tuple(over + unknown))
    return Verdict("unknown", tuple(unknown)) if unknown else Verdict("ok")


def _told(lane: Lane) -> tuple[str, ...]:
    """Times a kind of server tells at all: without requests there are none, and that is fine."""
    first, whole = "the time to the first token (p95)", "the time of a request (p99)"
    return {"vllm": (first, whole), "ray": (whole,)}.get(lane.kind, ())
