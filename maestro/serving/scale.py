"""How many replicas a lane wants; for KEDA, for a HorizontalPodAutoscaler, or for whoever starts servers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from maestro.serving.measure import Lane
from maestro.serving.settings import Scaling
from maestro.serving.slo import Verdict


@dataclass(frozen=True, slots=True)
class ScaleSignal:
    """The wish.

    Args:
        desired: replicas; None: nothing is known, so nothing is wished and whoever scales keeps what there is.
        why: one sentence.
    """

    desired: int | None
    why: str


def scale(lane: Lane | None, scaling: Scaling, verdict: Verdict) -> ScaleSignal:
    """The wish for a lane: enough for its requests and its cache; one more than there is while a bound is not kept.

    Ratios are as a HorizontalPodAutoscaler takes them: ceil(replicas x value / target), a tenth off being near enough.
    """
    if lane is None or lane.running is None or lane.waiting is None:
        return ScaleSignal(None, "; ".join(verdict.why) or "what runs and waits is not known")
    load = lane.running + lane.waiting
    wishes = [
        (math.ceil(load / scaling.requests), f"{load:.0f} requests run or wait, {scaling.requests:g} to a replica")
    ]
    replicas = lane.replicas or 1
    if lane.kv_cache is not None and abs(lane.kv_cache / scaling.kv_cache - 1) > 0.1:
        wanted = math.ceil(replicas * lane.kv_cache / scaling.kv_cache)
        wishes.append((wanted, f"the KV cache is {lane.kv_cache:.0%} full, {scaling.kv_cache:.0%} is aimed at"))
    if verdict.state == "alert":
        wishes.append((replicas + 1, verdict.why[0]))
    most, why = max(wishes, key=lambda wish: wish[0])
    desired = min(max(most, scaling.least), scaling.most)
    if desired < most:
        why += f"; that would be {most}, {scaling.most} are allowed"
    elif desired > most:
        why += f"; at least {scaling.least} are kept"
    return ScaleSignal(desired, why)
