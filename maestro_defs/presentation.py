"""How a step's result looks in the Dagster UI: numbers that plot, tables, links, a list of what it left behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from maestro.artifacts import Artifact, StepRecord
from maestro.steps import StepKind


def summary_of(record: StepRecord, kind: StepKind[Any]) -> str:
    """One line; of a result from the cache as the kind tells it then."""
    summary = record.summary or ("passed" if record.passed else "failed")
    return kind.reused(summary, record.metadata)[0] if record.cache == "hit" else summary


def metadata_of(record: StepRecord, kind: StepKind[Any]) -> dict[str, dg.MetadataValue]:
    """Metadata of a materialization: Maestro's own first, then the kind's under its own names."""
    found: dict[str, dg.MetadataValue] = {
        "summary": dg.MetadataValue.text(summary_of(record, kind)),
        "cache": dg.MetadataValue.text(record.cache),
        "seconds": dg.MetadataValue.float(round(record.seconds, 3)),
    }
    if record.made_by_run != record.run_id:
        found["made by"] = dg.MetadataValue.dagster_run(record.made_by_run)
    if record.exit_code is not None:
        found["exit code"] = dg.MetadataValue.int(record.exit_code)
    if record.cost_usd:
        found["cost (USD)"] = dg.MetadataValue.float(record.cost_usd)
    if record.outputs:
        found["artifacts"] = _artifacts(record.outputs)
    for name, value in {**record.values, **record.metadata}.items():
        found.setdefault(name, shown(value))
    return found


def shown(value: Any) -> dg.MetadataValue:
    """A JSON value as Dagster shows it best."""
    if isinstance(value, bool):
        return dg.MetadataValue.bool(value)
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(value) if math.isfinite(value) else dg.MetadataValue.text(str(value))
    if isinstance(value, str):
        return (
            dg.MetadataValue.url(value) if value.startswith(("http://", "https://")) else dg.MetadataValue.text(value)
        )
    if isinstance(value, list) and value and all(_flat(row) for row in value):
        return _table(value)
    return dg.MetadataValue.json(value)


def _flat(row: Any) -> bool:
    return isinstance(row, dict) and all(isinstance(cell, str | int | float | bool | None) for cell in row.values())


def _table(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: _cell(row.get(name)) for name in columns}) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, type="string") for name in columns]),
    )


def _cell(value: Any) -> str | int | float | bool:
    return "" if value is None else value


def _artifacts(artifacts: Sequence[Artifact]) -> dg.TableMetadataValue:
    return _table(
        [{"name": one.name, "bytes": one.size, "media type": one.media_type, "sha256": one.sha256} for one in artifacts]
    )
