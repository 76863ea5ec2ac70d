"""Keeps the project's partitions up with its repository: a new commit becomes a revision."""

import dagster as dg

from maestro.project import Project

_INTERVAL_SECONDS = 30


def revisions_sensor(project: Project, partitions: dg.DynamicPartitionsDefinition) -> dg.SensorDefinition:
    """Makes the commit the repository stands at a partition, so that it can be materialized from the UI."""

    @dg.sensor(
        name="revisions",
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes the commit the repository stands at a revision that can be materialized.",
        asset_selection=dg.AssetSelection.all(),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        head = project.git.ask("rev-parse", "--verify", "--quiet", "HEAD")
        if not head:
            return dg.SkipReason("the repository has no commit yet")
        if context.instance.has_dynamic_partition(str(partitions.name), head):
            return dg.SkipReason(f"{head} is known")
        return dg.SensorResult(dynamic_partitions_requests=[partitions.build_add_request([head])])

    return sensor
