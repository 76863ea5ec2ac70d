"""The advisory database as a standing asset: brought up to date every six hours, with its digest and age to look at.

``definitions`` adds what :func:`advisories` returns to the assets of the workflow.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from maestro.errors import MaestroError
from maestro.project import Project
from maestro.vulnerabilities import moments
from maestro.vulnerabilities.database import AdvisoryDatabase
from maestro.vulnerabilities.location import SOURCE_VARIABLE, ecosystems_of, home_folder
from maestro.vulnerabilities.update import Updated, update

KEY = dg.AssetKey("advisory_database")
CRON = "17 */6 * * *"
"""Every six hours, not on the hour, when everybody asks."""


def advisories(project: Project, environ: Mapping[str, str] | None = None) -> dg.Definitions:
    """The asset, its job and its schedule; without a source in ``MAESTRO_ADVISORY_SOURCE`` the schedule is stopped.

    Args:
        environ: the process's environment when None.
    """
    environ = os.environ if environ is None else environ
    source = environ.get(SOURCE_VARIABLE)

    @dg.asset(
        key=KEY,
        group_name="evidence",
        kinds={"sqlite"},
        description="Known vulnerabilities, as OSV advisories, that `scan.vulnerabilities` looks components up in.",
    )
    def advisory_database() -> dg.MaterializeResult[Any]:
        if not source:
            raise dg.Failure(
                f"no source of advisories is named; set {SOURCE_VARIABLE} to an address or a folder",
                allow_retries=False,
            )
        try:
            made = update(home_folder(project.ensure_home()), source, ecosystems=ecosystems_of(environ))
        except MaestroError as error:
            raise dg.Failure(str(error)) from error
        return dg.MaterializeResult(metadata=metadata(made), data_version=dg.DataVersion(made.info.digest))

    job = dg.define_asset_job(
        "update_advisories", selection=dg.AssetSelection.assets(KEY), description="Brings the advisories up to date."
    )
    status = dg.DefaultScheduleStatus.RUNNING if source else dg.DefaultScheduleStatus.STOPPED
    schedule = dg.ScheduleDefinition(name="update_advisories", job=job, cron_schedule=CRON, default_status=status)
    return dg.Definitions(assets=[advisory_database], jobs=[job], schedules=[schedule])


def metadata(made: Updated, now: datetime | None = None) -> dict[str, Any]:
    """What the UI shows of an update: digest, age in hours, counts; a table of packages by ecosystem."""
    age = (now or datetime.now(UTC)) - moments.parse(made.info.modified)
    with AdvisoryDatabase(made.file) as database:
        coverage = database.coverage()
    rows = [dg.TableRecord({"ecosystem": name, "packages": count}) for name, count in coverage.items()]
    columns = [dg.TableColumn("ecosystem", "string"), dg.TableColumn("packages", "int")]
    return {
        "digest": made.info.digest,
        "advisories": made.info.advisories,
        "age in hours": round(max(age, timedelta(0)) / timedelta(hours=1), 1),
        "newest advisory": made.info.modified,
        "changed": made.changed,
        "archives fetched": made.fetched,
        "ecosystems": dg.MetadataValue.table(rows, schema=dg.TableSchema(columns)),
    }
