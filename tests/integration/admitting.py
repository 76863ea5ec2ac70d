"""A process that admits queued runs for as long as it holds the lease, and a launcher that outlives it.

``python -m tests.integration.admitting DAGSTER_HOME HOLDER``, the URL of the leases' database in ``LEASE_DATABASE``.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dagster import DagsterInstance, DagsterRun
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from maestro.admission import Limits
from maestro.profile import load_profile
from maestro.server.database import open_engine
from maestro.server.leases import LeaseLostError, Leases
from maestro_defs.admissions import Admissions, LaunchRules
from maestro_defs.instance import open_home

TERM = 1.0
LIMITS = Limits(runs=3)
SOON = LaunchRules(grace=0.5, pause=0.1, attempts=100)


class FolderLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """A worker is a file of its run; asked twice, it makes none a second time."""

    def __init__(self, folder: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self.folder = Path(folder)
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster's is.

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        return {"folder": str}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(config_value["folder"], inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        time.sleep(0.05)  # So that many of the kills come between the run's status and its launch.
        (self.folder / context.dagster_run.run_id).touch()

    def terminate(self, run_id: str) -> bool:
        return False

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        there = (self.folder / run.run_id).exists()
        return CheckRunHealthResult(WorkerStatus.RUNNING if there else WorkerStatus.NOT_FOUND)


def main() -> None:
    home, holder = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    leases = Leases(open_engine(os.environ["LEASE_DATABASE"]))
    with open_home(Path(home), load_profile("default")) as instance:
        print("ready", flush=True)
        while True:
            with leases.held("conductor", holder, TERM) as held:
                assert held is not None
                print("admits", flush=True)
                admissions = Admissions(instance, SOON, held.require)
                try:
                    while True:
                        held.require()
                        admissions.round(None, LIMITS)
                        time.sleep(0.01)
                except LeaseLostError:
                    print("lost", flush=True)
                finally:
                    admissions.close()


if __name__ == "__main__":
    main()
