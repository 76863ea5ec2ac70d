"""The peer: the same graph as plain Dagster assets with Dagster's own multiprocess executor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import dagster as dg
from dagster import reconstructable

COUNT = int(os.environ.get("BENCH_COUNT", "50"))
WIDTH = 10


def _asset(number: int) -> dg.AssetsDefinition:
    @dg.asset(name=f"s{number}", deps=[f"s{number - WIDTH}"] if number >= WIDTH else [])
    def step() -> dg.MaterializeResult[None]:
        subprocess.run(["bash", "-c", "true"], check=True)
        return dg.MaterializeResult(metadata={"exit code": 0})

    return step


def job() -> dg.JobDefinition:
    """The job, loaded anew in each step's process, as Dagster does it."""
    defs = dg.Definitions(
        assets=[_asset(number) for number in range(COUNT)],
        jobs=[dg.define_asset_job("work", executor_def=dg.multiprocess_executor)],
    )
    return defs.resolve_job_def("work")


if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        began = time.perf_counter()
        with dg.execute_job(reconstructable(job), instance=instance) as result:
            passed = result.success
        print(json.dumps({"seconds": time.perf_counter() - began, "passed": passed}))
    sys.exit(0 if passed else 1)
