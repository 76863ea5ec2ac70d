"""The backstop of a server, run by Dagster's daemon: does the conductor's work while there is no conductor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dagster as dg

INTERVAL_SECONDS = 30


def backstop_sensor(act: Callable[[], Sequence[str]]) -> dg.SensorDefinition:
    """Takes deliveries, starts runs and reports their ends, while no conductor holds the lease for it.

    Args:
        act: one round of that work; says what it did, a line each, and nothing while a conductor is at work.
    """

    @dg.sensor(
        name="github",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes deliveries and reports runs when the conductor does not; usually there is nothing to do.",
        asset_selection=dg.AssetSelection.all(),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        lines = act()
        for line in lines:
            context.log.info(line)
        # Runs are made under ids that follow from their delivery; a run request could not carry one.
        return dg.SkipReason("; ".join(lines) or "the conductor is at work")

    return sensor
