"""Names of the tags a run carries, the same whether this machine or a server starts it."""

from __future__ import annotations

PROJECT_TAG = "maestro/project"
WORKFLOW_TAG = "maestro/workflow"
PARTITION_TAG = "dagster/partition"
"""The revision."""

PARAMS_TAG = "maestro/params"
"""Every parameter's value, as a JSON object."""

BASE_TAG = "maestro/base"
PLANNED_TAG = "maestro/planned"
REDO_TAG = "maestro/redo"
ASSUME_DONE_TAG = "maestro/assume_done"
EARLIER_TAG = "maestro/earlier"
"""Ids of the runs it resumes, the nearest first, separated by commas."""

LOCAL_TAG = "maestro/local"
"""Carried out in the foreground by ``maestro run``."""

PROCESS_TAG = "maestro/process"
"""The process that carries it out, as ``maestro.runs.process`` names it."""

WORKSPACE_TAG = "maestro/workspace"
"""The person's checkout, when the run works in it."""

ENDED_TAG = "maestro/ended"
"""What a run does at its end (undo, ``finally``) has been done, by the run itself or later in its place."""

LAUNCH_TAG = "maestro/launch"
"""Made by the client for each launch, so that a launch whose answer got lost is found again."""
