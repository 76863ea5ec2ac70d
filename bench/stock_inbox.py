"""The peer of ``bench latency``: a code location whose sensor looks into a table of deliveries, as Dagster's own
documentation does it; loaded by stock Dagster."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator

import dagster as dg

TABLE = "create table if not exists inbox(id integer primary key, delivery text not null)"


@dg.asset
def hello() -> None:
    """The same work as the step it is compared with."""
    subprocess.run(["sh", "-c", "echo hello"], check=True)


job = dg.define_asset_job("on_push", selection=[hello])


@dg.sensor(job=job, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def inbox(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
    """One run for each new delivery."""
    seen = int(context.cursor or 0)
    with sqlite3.connect(os.environ["BENCH_INBOX"], timeout=30) as connection:
        rows = connection.execute("select id, delivery from inbox where id > ? order by id", (seen,)).fetchall()
    for number, delivery in rows:
        seen = number
        yield dg.RunRequest(run_key=delivery, tags={"delivery": delivery})
    context.update_cursor(str(seen))


defs = dg.Definitions(assets=[hello], jobs=[job], sensors=[inbox])
