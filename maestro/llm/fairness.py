"""Whether one tenant's calls are slower, or fail more often, than those of the others."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from maestro.llm.calls import Call

SLOWEST = 0.1
"""A call is slow when it is among this part of its model's calls."""
LEAST_OF_MODEL = 10
"""Calls of a model from which on it is known what is slow there."""
LEAST_CALLS = 20
"""Calls a tenant must have to be called worse off."""
_Z = 2.576  # 99 % of a normal distribution


@dataclass(frozen=True, slots=True)
class TenantShare:
    """How a tenant fares.

    Args:
        slow: answered calls that were among the slowest tenth of their model, over all tenants.
        failed: calls without an answer, refusals by a budget or a policy not among them.
        share: slow or failed, of all; low, high: its interval of 99 % (Wilson).
        others: the same share of all other tenants.
        worse: more than chance explains.
    """

    tenant: str
    calls: int
    slow: int
    failed: int
    share: float
    low: float
    high: float
    others: float
    worse: bool


def fairness(found: Iterable[Call]) -> tuple[TenantShare, ...]:
    """How each tenant fares, the worst off first. Calls that are not over, cached or cancelled do not count."""
    calls = [
        (one.tenant, one.model, one.seconds or 0.0, one.state == "failed")
        for one in found
        if one.state in ("answered", "failed")
    ]
    limits = _limits(calls)
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for tenant, model, seconds, failed in calls:
        row = counted[tenant]
        row[0] += 1
        row[1] += not failed and seconds > limits.get(model, math.inf)
        row[2] += failed
    everyone = [sum(column) for column in zip(*counted.values(), strict=True)] or [0, 0, 0]
    return tuple(
        sorted(
            (_tenant(name, row, everyone) for name, row in counted.items()), key=lambda one: (-one.share, one.tenant)
        )
    )


def _tenant(name: str, row: list[int], everyone: list[int]) -> TenantShare:
    calls, slow, failed = row
    bad = slow + failed
    rest = everyone[0] - calls
    others = (everyone[1] + everyone[2] - bad) / rest if rest else 0.0
    low, high = wilson(bad, calls)
    # Beside the interval, a difference somebody would feel.
    enough = min(calls, rest) >= LEAST_CALLS
    worse = enough and low > wilson(everyone[1] + everyone[2] - bad, rest)[1] and bad / calls > others + 0.02
    return TenantShare(name, calls, slow, failed, bad / calls, low, high, others, worse)


def _limits(calls: Iterable[tuple[str, str, float, bool]]) -> dict[str, float]:
    by_model: dict[str, list[float]] = defaultdict(list)
    for _, model, seconds, failed in calls:
        if not failed and math.isfinite(seconds):
            by_model[model].append(seconds)
    return {
        model: sorted(values)[math.ceil(len(values) * (1 - SLOWEST)) - 1]
        for model, values in by_model.items()
        if len(values) >= LEAST_OF_MODEL
    }


def wilson(count: int, total: int, z: float = _Z) -> tuple[float, float]:
    """Wilson's interval of a share; (0, 1) of nothing."""
    if total == 0:
        return 0.0, 1.0
    share, square = count / total, z * z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)
