"""Drift and fairness of models as the UI shows them: on the asset ``llm/health``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from maestro.ledger.place import ledger_url
from maestro.ledger.store import Ledger
from maestro.llm.decisions import DecisionStore
from maestro.llm.drift import DriftAlert
from maestro.llm.fairness import TenantShare
from maestro.llm.watching import drift_of, fairness_of

_FAIRNESS = timedelta(days=7)
_COLUMNS = ("what", "of", "now", "before", "usual", "calls")


def watched(home: Path, environ: Mapping[str, str], tenant: str, project: str) -> dict[str, Any]:
    """Metadata: what drifted in the last day, and how the tenant fared in the last week.

    Raises:
        MaestroError: the ledger's database does not answer.
    """
    now = datetime.now(UTC)
    with Ledger.open(ledger_url(home, environ)) as ledger:
        store = DecisionStore(ledger.engine)
        drifted = drift_of(store, now=now, tenant=tenant, project=project)
        shares = fairness_of(store, since=now - _FAIRNESS, until=now)
    return {
        "drift alerts": len(drifted.alerts),
        **({"drift": alert_table(drifted.alerts)} if drifted.alerts else {}),
        **_fared(shares, tenant),
    }


def alert_table(alerts: Sequence[DriftAlert]) -> dg.TableMetadataValue:
    """A row for each alert."""
    rows = [
        dg.TableRecord(dict(zip(_COLUMNS, (one.metric, one.subject, *_values(one), str(one.calls)), strict=True)))
        for one in alerts
    ]
    return dg.MetadataValue.table(rows, schema=dg.TableSchema([dg.TableColumn(name, "string") for name in _COLUMNS]))


def observation(key: dg.AssetKey, alert: DriftAlert) -> dg.AssetObservation:
    """An alert as an event of the asset ``key``."""
    now, before, usual = _values(alert)
    return dg.AssetObservation(
        asset_key=key,
        description=alert.sentence,
        metadata={
            "drift": alert.metric,
            "of": alert.subject,
            "now": now,
            "before": before,
            "usual": usual,
            "calls": alert.calls,
            "value": alert.value,
        },
    )


def _values(alert: DriftAlert) -> tuple[str, str, str]:
    usual = f"{alert.shown(alert.low)} to {alert.shown(alert.high)}"
    return alert.shown(alert.value), alert.shown(alert.before), usual


def _fared(shares: Sequence[TenantShare], tenant: str) -> dict[str, Any]:
    """Of other tenants no more than how they fared together: their names are nobody's business here."""
    mine = next((one for one in shares if one.tenant == tenant), None)
    if mine is None:
        return {}
    found: dict[str, Any] = {"slow or failed (%)": round(100 * mine.share, 1)}
    if len(shares) > 1:
        found |= {"slow or failed at others (%)": round(100 * mine.others, 1), "worse off than others": mine.worse}
    return found
