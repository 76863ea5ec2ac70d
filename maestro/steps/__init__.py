"""The contract between Maestro and a step kind: typed parameters, a context, a result, and the registry of kinds.

A kind is found by entry point ``maestro.steps``, so a plugin is a package. Modules that hold kinds must not import
Dagster: ``maestro plan`` loads them.
"""

from maestro.steps.kind import (
    BaseParams,
    Forecast,
    History,
    Models,
    Output,
    PlanContext,
    Requirement,
    StepContext,
    StepKind,
    StepResult,
)
from maestro.steps.registry import Registry

__all__ = [
    "BaseParams",
    "Forecast",
    "History",
    "Models",
    "Output",
    "PlanContext",
    "Registry",
    "Requirement",
    "StepContext",
    "StepKind",
    "StepResult",
]
