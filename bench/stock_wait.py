"""The code location of ``bench runs``' peer: one plain asset whose work is a process that waits for a lock."""

from __future__ import annotations

import os
import subprocess

import dagster as dg


@dg.asset
def waiting() -> None:
    """Waits until the lock is free."""
    subprocess.run(["flock", "-s", os.environ["BENCH_LOCK"], "true"], check=True)


defs = dg.Definitions(assets=[waiting], jobs=[dg.define_asset_job("wait", selection=[waiting])])
