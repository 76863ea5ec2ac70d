"""Two processes that admit runs, one killed after the other at any moment: each run starts once, none is forgotten."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterRun, DagsterRunStatus, RunsFilter

from maestro.runs.tags import GROUP_TAG
from tests.integration.admitting import LIMITS
from tests.integration.hand_launcher import Queue, open_queue

ROOT = Path(__file__).parents[2]
RUNS, KILLS = 12, 3
SECONDS = 240.0
STARTED = DagsterRunStatus.STARTED


class Workers:
    """What the workers do: each run that has one begins, and ends a while later."""

    def __init__(self, queue: Queue, folder: Path) -> None:
        self._instance = queue.instance
        self._folder = folder

    def work(self) -> None:
        begun = self._instance.get_runs(RunsFilter(statuses=[STARTED]))
        groups = Counter(run.tags[GROUP_TAG] for run in begun if GROUP_TAG in run.tags)
        assert all(count == 1 for count in groups.values()), "two runs of one group at the same time"
        assert LIMITS.runs is not None
        assert len(begun) <= LIMITS.runs
        for run in begun:
            self._report(run, DagsterEventType.PIPELINE_SUCCESS)
        for run in self._instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTING])):
            if (self._folder / run.run_id).exists():
                self._report(run, DagsterEventType.PIPELINE_START)

    def _report(self, run: DagsterRun, kind: DagsterEventType) -> None:
        self._instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)


@contextmanager
def admitting(home: Path, holder: str, database: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.admitting", str(home), holder],
        cwd=ROOT,
        env={**os.environ, "LEASE_DATABASE": database},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        with process:
            pass


@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
def test_each_run_starts_once_however_often_who_admits_is_killed_or_stopped(
    request: pytest.FixtureRequest, storage: str, tmp_path: Path
) -> None:
    postgres = request.getfixturevalue("postgres_database") if storage == "postgresql" else None
    database = postgres or f"sqlite:///{tmp_path / 'server.db'}"
    home, folder = tmp_path / "dagster", tmp_path / "workers"
    folder.mkdir()
    launcher = {
        "module": "tests.integration.admitting",
        "class": "FolderLauncher",
        "config": {"folder": str(folder)},
    }
    chance = random.Random(20261121)
    with open_queue(home, tmp_path / "server", postgres, settings={"run_launcher": launcher}) as queue:
        workers = Workers(queue, folder)
        runs = [queue.submit(chance.choice([None, "main", "next"])) for _ in range(RUNS)]
        deadline = time.monotonic() + SECONDS

        def until_ended(at_least: int) -> None:
            while len(queue.instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.SUCCESS]))) < at_least:
                assert time.monotonic() < deadline
                workers.work()

        for number in range(KILLS):
            # The next one waits for the lease already when this one is killed, or stopped and let go on later.
            with admitting(home, f"{number} a", database) as first, admitting(home, f"{number} b", database) as second:
                until_ended(RUNS * (number + 1) // (KILLS + 2))
                time.sleep(chance.uniform(0, 0.1))
                # Whoever is stopped while it writes to an SQLite file keeps everybody else from it: no lease helps.
                stopped = postgres is not None and number % 2 == 0
                first.send_signal(signal.SIGSTOP if stopped else signal.SIGKILL)
                until_ended(RUNS * (number + 1) // (KILLS + 2) + 1)
                first.send_signal(signal.SIGCONT)
                second.send_signal(signal.SIGKILL)
        with admitting(home, "last", database):
            until_ended(RUNS)
        for run in runs:
            assert queue.status(run) == DagsterRunStatus.SUCCESS
            assert queue.kinds(run).count("PIPELINE_START") == 1
            assert queue.kinds(run).count("PIPELINE_ENQUEUED") == 1
