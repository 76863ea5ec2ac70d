"""Revisions as partitions: every asset of a project is partitioned by revision."""

from __future__ import annotations

import dagster as dg


def revisions_name(project_name: str) -> str:
    """Name of the project's dynamic partitions."""
    return f"{project_name}_revisions"


def revisions(project_name: str) -> dg.DynamicPartitionsDefinition:
    """The project's revisions: commits, and uncommitted trees that were delivered."""
    return dg.DynamicPartitionsDefinition(name=revisions_name(project_name))


def register_revision(instance: dg.DagsterInstance, project_name: str, revision: str) -> None:
    """Makes ``revision`` a partition, when it is not one yet."""
    if not instance.has_dynamic_partition(revisions_name(project_name), revision):
        instance.add_dynamic_partitions(revisions_name(project_name), [revision])
