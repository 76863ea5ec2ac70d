"""The statistics of an evaluation: intervals, the paired test, and what a test of this size can see at all.

Own code: SciPy and NumPy would be a hundred megabytes for four formulas over whole numbers. Each is tested against
published values.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

CONFIDENCE = 0.95
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and where the truth probably lies."""

    value: float
    low: float
    high: float


def wilson(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """A rate with its Wilson score interval (Wilson 1927); without trials: 0 to 1.

    Raises:
        ValueError: more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no rate")
    if trials == 0:
        return Interval(0.0, 0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    middle = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    # At the ends the formula is exact but for the last bit.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == trials else min(1.0, middle + half)
    return Interval(rate, low, high)


def bootstrap_mean(values: Sequence[float], seed: str, confidence: float = CONFIDENCE) -> Interval | None:
    """A mean with its percentile bootstrap interval; the same for the same values and seed. None without values."""
    if not values:
        return None
    chance = random.Random(seed)
    means = sorted(fmean(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    cut = (1 - confidence) / 2
    return Interval(
        fmean(values), means[int(cut * _RESAMPLES)], means[min(_RESAMPLES - 1, int((1 - cut) * _RESAMPLES))]
    )


def percentile(values: Sequence[float], fraction: float) -> float:
    """The nearest-rank percentile; 0 without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)] if ordered else 0.0


def mcnemar(worse: int, better: int) -> float:
    """Two-sided p of the exact McNemar test: the binomial test of the pairs that differ, with even odds.

    Args:
        worse: cases that passed before and fail now.
        better: cases that failed before and pass now.
    """
    differing = worse + better
    tail = sum(math.comb(differing, k) for k in range(min(worse, better) + 1))
    return float(min(1.0, 2 * tail / 2**differing))


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """P values adjusted for that several were asked (Holm 1979); in the order they were given."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, (name, value) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(values) - rank) * value))
        adjusted[name] = highest
    return {name: adjusted[name] for name in values}


def detectable_drop(cases: int, alpha: float, noise: float = 0.05, power: float = 0.8) -> float | None:
    """The smallest drop of the pass rate that the paired test would notice with this power; None: none at all.

    Args:
        cases: pairs.
        alpha: the p below which it counts.
        noise: share of cases that get better by chance, and as many worse, without any real change.

    Returns:
        A share of the cases, in steps of one case.
    """
    for drop in range(1, cases + 1):
        worse = noise + drop / cases
        if worse + noise > 1:
            break
        if _power(cases, worse, noise, alpha) >= power:
            return drop / cases
    return None


def _power(cases: int, worse: float, better: float, alpha: float) -> float:
    """Chance that the test notices, when each case gets worse and better with these chances (Miettinen 1968, exact)."""
    differing, share = worse + better, worse / (worse + better)
    total = 0.0
    for count in range(1, cases + 1):
        weight = _binomial(cases, count, differing)
        if weight < 1e-9:
            continue
        needed = _needed(count, alpha)
        if needed is not None:
            total += weight * sum(_binomial(count, k, share) for k in range(needed, count + 1))
    return total


def _needed(differing: int, alpha: float) -> int | None:
    """How many of the differing pairs must be worse to be noticed; None: even all of them are too few."""
    tail = 0
    found = None
    limit = alpha * 2**differing / 2
    for better in range(differing // 2 + 1):
        tail += math.comb(differing, better)
        if tail > limit:
            break
        found = differing - better
    return found


def _binomial(trials: int, count: int, chance: float) -> float:
    if chance <= 0 or chance >= 1:
        return float(count == (trials if chance >= 1 else 0))
    return math.exp(
        math.lgamma(trials + 1)
        - math.lgamma(count + 1)
        - math.lgamma(trials - count + 1)
        + count * math.log(chance)
        + (trials - count) * math.log1p(-chance)
    )
