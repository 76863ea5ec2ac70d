"""Tells of budgets that pass 80, 95 and 100 per cent: an observation on the asset of the spend, a line in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import dagster as dg

from maestro.errors import MaestroError
from maestro.ledger.model import Crossing, shown

INTERVAL_SECONDS = 60
_MEANING = {
    80: "cheaper models of a route are preferred from now on",
    95: "soon nothing can be asked any more",
    100: "nothing more is granted",
}


def budget_sensor(key: dg.AssetKey, take: Callable[[], Sequence[Crossing]]) -> dg.SensorDefinition:
    """Watches the budgets of one project.

    Args:
        key: the asset observations are put on.
        take: thresholds passed that were not told of yet; each is given once.
    """

    @dg.sensor(
        name="budgets",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of budgets that pass 80, 95 and 100 per cent.",
        asset_selection=dg.AssetSelection.assets(key),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            crossed = take()
        except MaestroError as error:
            return dg.SensorResult(skip_reason=f"the ledger cannot be read: {error.what}")
        for one in crossed:
            context.log.log(level_of(one), sentence(one))
        return dg.SensorResult(
            asset_events=[observation(key, one) for one in crossed],
            skip_reason=None if crossed else "no budget has passed a threshold",
        )

    return sensor


def sentence(crossing: Crossing) -> str:
    """What happened and what it means, for people."""
    used, limit = shown(crossing.unit, crossing.used), shown(crossing.unit, crossing.limit)
    if crossing.overdraft and crossing.used <= crossing.limit:
        return (
            f"the provider claimed more for {crossing.scope} than the call can have used, so all that was reserved "
            f"is charged: {limit} ({crossing.overdraft})"
        )
    if crossing.overdraft:
        return f"{crossing.scope} has cost {used}, more than the {limit} that were reserved ({crossing.overdraft})"
    return (
        f"the budget of {crossing.scope} is used by {crossing.level} %: {used} of {limit}; {_MEANING[crossing.level]}"
    )


def level_of(crossing: Crossing) -> int:
    """How urgent it is, as ``logging`` counts."""
    return logging.INFO if crossing.level < 95 else logging.WARNING


def observation(key: dg.AssetKey, crossing: Crossing) -> dg.AssetObservation:
    """The same for the UI."""
    return dg.AssetObservation(
        asset_key=key,
        description=sentence(crossing),
        metadata={
            "scope": str(crossing.scope),
            "unit": crossing.unit.value,
            # A number where it is one of the three thresholds, so that it plots.
            **({"overdraft": crossing.overdraft} if crossing.overdraft else {"level (%)": crossing.level}),
            "used": shown(crossing.unit, crossing.used),
            "limit": shown(crossing.unit, crossing.limit),
            "at": crossing.at.isoformat(timespec="seconds"),
        },
    )
