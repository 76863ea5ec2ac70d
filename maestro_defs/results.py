"""What Dagster is told of a step's record."""

from __future__ import annotations

import hashlib
from typing import Any

import dagster as dg

from maestro.artifacts import StepRecord
from maestro.steps import StepKind
from maestro.workflow.graph import Node
from maestro_defs.presentation import metadata_of, shown, summary_of

SUCCEEDED = "succeeded"
"""The check of kinds whose result is no more than that they ran well."""
_REASONS = ("why", "to be allowed")


def materialize_result(record: StepRecord, node: Node, kind: StepKind[Any]) -> dg.MaterializeResult[None]:
    """The asset a step leaves behind, and its check."""
    digest = hashlib.sha256("".join(f"{one.name} {one.sha256}\n" for one in record.outputs).encode())
    digest.update(b"" if record.outputs else record.revision.encode())
    return dg.MaterializeResult(
        metadata=metadata_of(record, kind),
        data_version=dg.DataVersion(digest.hexdigest()[:32]),
        check_results=[check_result(record, node, kind)],
    )


def check_result(
    record: StepRecord, node: Node, kind: StepKind[Any], key: dg.AssetKey | None = None
) -> dg.AssetCheckResult:
    """Whether the step passed, as its kind's check of the asset."""
    return dg.AssetCheckResult(
        passed=record.passed,
        asset_key=key,
        check_name=kind.check,
        severity=dg.AssetCheckSeverity.WARN if node.step.continue_on_error else dg.AssetCheckSeverity.ERROR,
        metadata={
            "summary": summary_of(record, kind),
            **({} if kind.check == SUCCEEDED else _reasons(record)),
        },
    )


def _reasons(record: StepRecord) -> dict[str, dg.MetadataValue]:
    """Why the check is as it is, and what would change that, where the kind says so."""
    return {name: shown(record.metadata[name]) for name in _REASONS if record.metadata.get(name)}
