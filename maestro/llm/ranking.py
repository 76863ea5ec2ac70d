"""Which of the candidates that can be used comes first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from maestro.ledger.model import NANO
from maestro.llm.prices import MILLION, worst
from maestro.llm.state import Latency
from maestro.llm.targets import Candidate

_SLOTS = 8
"""Requests a server is taken to answer at once where the catalogue does not say."""
_ASSUMED_SECONDS = 5.0
_CENT_PART = 0.0001
"""Dollars below which two costs are nearly the same; keeps what is free from making all else worthless."""


def likely_usd(candidate: Candidate, input_tokens: int, max_output: int) -> float:
    """Dollars for the likely input and the whole answer; 0 where the price is unknown."""
    output = max_output if max_output < candidate.max_output else candidate.max_output
    rate = candidate.rate
    if rate is not None:
        return (input_tokens * rate.input + output * rate.output) / MILLION / NANO
    price = candidate.model.price
    return 0.0 if price is None else worst(price, input_tokens, output) / NANO


def seconds(candidate: Candidate, latency: Mapping[str, Latency], queue: Mapping[str, int]) -> float | None:
    """How long an answer takes, by recent calls, the queue before it and the share that failed; None: unknown."""
    recent = latency.get(candidate.name)
    if recent is None or recent.calls <= 0 or not math.isfinite(recent.p50) or recent.p50 < 0:
        return None
    waiting = queue.get(candidate.name, 0) / (candidate.model.concurrency or _SLOTS)
    failing = min(0.9, max(0.0, recent.failed / recent.calls))
    return recent.p50 * (1 + max(0.0, waiting)) / (1 - failing)


def assumed(known: Sequence[float | None]) -> float:
    """What is taken for a candidate nobody has asked lately: the median of the others."""
    found = [one for one in known if one is not None]
    return median(found) if found else _ASSUMED_SECONDS


def total(
    objective: str, candidate: Candidate, *, place: int, cost: float, cheapest: float, time: float, quickest: float
) -> float:
    """The score that is compared, the more the better; 1 is the best there is where weights are 1."""
    model = candidate.model
    if objective == "pinned":
        return 1.0 / (1 + place)
    if model.kind == "offline" and objective != "quality":
        # It is no model: that it is free and quick is no reason to take it.
        return 0.0
    if objective == "cost":
        return model.weight * (cheapest + _CENT_PART) / (cost + _CENT_PART)
    if objective == "latency":
        return model.weight * (quickest + 0.01) / (time + 0.01)
    return model.weight * model.quality
