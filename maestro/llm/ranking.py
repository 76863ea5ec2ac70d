"""Which of the candidates that can be used comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from maestro.ledger.model import NANO
from maestro.llm.prices import MILLION, worst
from maestro.llm.state import Latency
from maestro.llm.targets import Candidate
from maestro.llm.tokens import TokenCount

_MILLION_DOLLARS = float(MILLION * NANO)
_SLOTS = 8
"""Requests a server is taken to answer at once where the catalogue does not say."""
_ASSUMED_SECONDS = 5.0
_LONGEST = 1e6
_CENT_PART = 0.0001
"""Dollars below which two costs are nearly the same; keeps what is free from making all else worthless."""


def costs(candidate: Candidate, tokens: TokenCount, max_output: int) -> tuple[int | None, float]:
    """The most the request can cost there, in nanodollars, and dollars for the likely input and the whole answer.

    Where the price is unknown they are None and 0.
    """
    output = max_output if max_output < candidate.max_output else candidate.max_output
    rate = candidate.rate
    if rate is not None:
        answer = output * rate.output
        return (
            -(-(tokens.at_most * rate.input + answer) // MILLION),
            (tokens.likely * rate.input + answer) / _MILLION_DOLLARS,
        )
    price = candidate.model.price
    if price is None:
        return None, 0.0
    return worst(price, tokens.at_most, output), worst(price, tokens.likely, output) / NANO


def seconds(candidate: Candidate, latency: Mapping[str, Latency], queue: Mapping[str, int]) -> float | None:
    """How long an answer takes, by recent calls, the queue before it and the share that failed; None: unknown."""
    recent = latency.get(candidate.name)
    if recent is None or recent.calls <= 0 or not 0 <= recent.p50 <= _LONGEST:
        return None
    found = recent.p50
    waiting = queue.get(candidate.name, 0) if queue else 0
    if waiting > 0:
        found *= 1 + waiting / (candidate.model.concurrency or _SLOTS)
    if recent.failed > 0:
        found /= max(0.1, 1 - recent.failed / recent.calls)
    return found if found < _LONGEST else _LONGEST


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
