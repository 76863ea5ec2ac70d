"""Standing assets about language models: ``llm/spend`` a day, and ``llm/health``; and the sensor of budgets."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zlib import crc32

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from maestro.errors import MaestroError
from maestro.ledger.insight.anomaly import Anomaly, anomalies
from maestro.ledger.insight.daily import Daily, daily
from maestro.ledger.model import NANO, Charge, Crossing, Unit, dollars, shown
from maestro.ledger.place import is_there, ledger_url
from maestro.ledger.store import Ledger
from maestro.project import Project
from maestro.server.home import HOME_VARIABLE
from sensors.budgets import budget_sensor

GROUP = "models"
FIRST_DAY = "2026-01-01"
_LOOK_BACK = timedelta(days=120)
_LEAST_EXCESS = NANO // 10
"""Nobody wants to be called for less than ten cents."""


@dataclass(frozen=True, slots=True)
class Charged:
    """Whose models: the project, its tenant, and where its keys begin.

    Args:
        prefix: of asset keys: empty on one machine, the project's name on a server, where keys are shared by all.
    """

    project: Project
    name: str
    tenant: str
    prefix: tuple[str, ...] = ()

    def key(self, name: str) -> dg.AssetKey:
        """``llm/NAME``."""
        return dg.AssetKey([*self.prefix, "llm", name])


def model_assets(charged: Charged, environ: Mapping[str, str] | None = None) -> dg.Definitions:
    """The assets, their jobs, schedules and the sensor.

    Args:
        environ: the process's environment when None.
    """
    environ = os.environ if environ is None else environ

    def opened() -> Ledger:
        return Ledger.open(ledger_url(charged.project.ensure_home(), environ))

    # On one machine somebody would wonder who starts runs every hour.
    status = dg.DefaultScheduleStatus.RUNNING if charged.prefix else dg.DefaultScheduleStatus.STOPPED
    spend, health = _spend(charged, opened), _health(charged, environ)
    spend_job = _job("llm_spend", charged.key("spend"), "Adds up what was spent on language models on a day.")
    health_job = _job("llm_health", charged.key("health"), "Looks which language models can be used.")
    return dg.Definitions(
        assets=[spend, health],
        jobs=[spend_job, health_job],
        schedules=[
            dg.build_schedule_from_partitioned_job(
                spend_job, name="llm_spend", hour_of_day=0, minute_of_hour=_minute(charged, 20), default_status=status
            ),
            dg.ScheduleDefinition(
                name="llm_health",
                job=health_job,
                cron_schedule=f"{_minute(charged, 37)} * * * *",
                default_status=status,
            ),
        ],
        # On a server the conductor tells, as one ledger is everybody's.
        sensors=[] if charged.prefix else [budget_sensor(charged.key("spend"), lambda: _crossings(charged, environ))],
    )


def _minute(charged: Charged, alone: int) -> int:
    """Minute of the hour; those of a server's projects are spread, as each starts a run of its own."""
    return crc32(charged.name.encode()) % 60 if charged.prefix else alone


def _job(name: str, key: dg.AssetKey, description: str) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(name, dg.AssetSelection.assets(key), description=description)


def _spend(charged: Charged, opened: Callable[[], Ledger]) -> dg.AssetsDefinition:
    @dg.asset(
        key=charged.key("spend"),
        group_name=GROUP,
        kinds={"llm"},
        partitions_def=dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC"),
        description="What the project spent on language models on a day (UTC), by model and step.",
    )
    def spend(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        day = date.fromisoformat(context.partition_key)
        end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        whose = {"tenant": charged.tenant, "project": charged.name}
        try:
            with opened() as ledger:
                today = list(ledger.charges(end - timedelta(days=1), end, **whose))
                # A page at a time: four months of a busy project are more than need be in memory.
                spent = daily(ledger.charges(end - _LOOK_BACK, end, unit=Unit.USD.value, **whose), end.date())
        except MaestroError as error:
            raise dg.Failure(str(error)) from error
        return dg.MaterializeResult(metadata=spend_metadata(today, spent))

    return spend


def spend_metadata(charges: Sequence[Charge], spent: Daily) -> dict[str, Any]:
    """What the UI shows of a day; numbers plot over days.

    Args:
        charges: of the day.
        spent: money by day, the day last.
    """
    money = [one for one in charges if one.unit is Unit.USD]
    calls = {one.reservation for one in charges if one.kind in ("settled", "assumed")}
    day = spent.end - timedelta(days=1)
    odd = next((one for one in anomalies(spent, least=_LEAST_EXCESS) if one.day == day), None)
    return {
        "dollars": float(dollars(sum(one.amount for one in money))),
        "tokens": sum(one.amount for one in charges if one.unit is Unit.TOKENS),
        "calls": len(calls),
        "out of line": odd is not None,
        **_expected(odd),
        "by model": _table(money, lambda one: one.model or "unknown", "model"),
        "by step": _table(money, lambda one: one.attribution.step or "none", "step"),
    }


def _expected(odd: Anomaly | None) -> dict[str, str]:
    if odd is None:
        return {}
    return {"expected": f"about {shown(Unit.USD, odd.expected)}, at most {shown(Unit.USD, odd.bound)}"}


def _table(charges: Iterable[Charge], key: Callable[[Charge], str], column: str) -> dg.TableMetadataValue:
    sums: dict[str, int] = defaultdict(int)
    for one in charges:
        sums[key(one)] += one.amount
    rows = [
        dg.TableRecord({column: name, "dollars": float(dollars(amount))})
        for name, amount in sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    ]
    columns = [dg.TableColumn(column, "string"), dg.TableColumn("dollars", "float")]
    return dg.MetadataValue.table(rows, schema=dg.TableSchema(columns))


def _health(charged: Charged, environ: Mapping[str, str]) -> dg.AssetsDefinition:
    @dg.asset(
        key=charged.key("health"),
        group_name=GROUP,
        kinds={"llm"},
        description="Which models of the catalogue can be used right now, why others cannot, and what has drifted.",
    )
    def health() -> dg.MaterializeResult[Any]:
        from maestro.llm.blocking import BlockingGateway
        from maestro.llm.opening import open_gateway
        from maestro_defs.drift_views import watched

        root = charged.project.root
        try:
            with BlockingGateway(
                lambda: open_gateway(home=charged.project.ensure_home(), environ=environ, workspace=root)
            ) as gateway:
                found = gateway.health()
            drift = watched(charged.project.home, environ, charged.tenant, charged.name)
        except MaestroError as error:
            raise dg.Failure(str(error)) from error
        rows = [dg.TableRecord({"model": name, "state": reason or "ready"}) for name, reason in sorted(found.items())]
        columns = [dg.TableColumn("model", "string"), dg.TableColumn("state", "string")]
        ready = sum(reason is None for reason in found.values())
        return dg.MaterializeResult(
            metadata={
                "ready": ready,
                "not ready": len(found) - ready,
                "models": dg.MetadataValue.table(rows, schema=dg.TableSchema(columns)),
                **drift,
            }
        )

    return health


def _crossings(charged: Charged, environ: Mapping[str, str]) -> list[Crossing]:
    """Thresholds that were passed and nobody has told of yet."""
    home = charged.project.home
    # What is in a server's ledger is its conductor's to tell; each crossing is given to one caller only.
    if environ.get(HOME_VARIABLE) or not is_there(home, environ):
        return []
    with Ledger.open(ledger_url(home, environ)) as ledger:
        return list(ledger.take_crossings())
