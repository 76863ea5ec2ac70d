"""A server whose programs are killed and whose database is restarted while webhooks come in; what became of each."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import httpx
import psutil

from maestro.cli.server_parts import CONDUCTOR, DAEMON, GATEWAY, LAUNCHER
from maestro.runs.tags import DELIVERY_TAG
from maestro_defs.warm.records import Records
from tests.e2e.server import TAKES, Repository, ServerProcess
from tests.e2e.server_events import Webhook, push
from tests.integration.github_server import github_server
from tests.integration.postgres_control import PostgresControl, controlled_postgres

POSTGRES, WORKER = "postgres", "worker"
FAULTS = (POSTGRES, WORKER, GATEWAY, CONDUCTOR, LAUNCHER, DAEMON)
WORKFLOW = """
name: deliver
on: push
stages:
  - name: all
    steps:
      - {id: first, run: shell, cache: false, with: {command: 'sleep 0.2; echo "made={{ git.sha }}" >> $MAESTRO_OUTPUT'}}
      - {id: second, run: shell, cache: false, with: {command: 'sleep 0.6; test "{{ steps.first.outputs.made }}" = "{{ git.sha }}"'}}
      - {id: third, run: shell, cache: false, with: {command: 'sleep 0.2'}}
"""
_SENDERS = 4
_AT_ONCE = 6
_AGAIN_SECONDS = 0.3
_LIMIT_SECONDS = 900.0
_TOLD_SECONDS = 60.0


@dataclass
class Survived:
    """What became of it.

    Args:
        sent: deliveries that were taken.
        faults: what was done, in order.
        runs: delivery -> status of each of its runs.
        checks: delivery -> conclusion of each check of its commit at GitHub; None of one that is not completed.
        stories: delivery -> what happened in its run, of those that ended otherwise than they should.
        seconds: from the first delivery to the last run's end.
    """

    sent: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    runs: dict[str, list[str]] = field(default_factory=dict)
    checks: dict[str, list[str | None]] = field(default_factory=dict)
    stories: dict[str, str] = field(default_factory=dict)
    retries: int = 0
    seconds: float = 0.0

    @property
    def lost(self) -> list[str]:
        """Deliveries without a finished run."""
        return [one for one in self.sent if not self.runs.get(one)]

    @property
    def doubled(self) -> list[str]:
        """Deliveries with more runs than one."""
        return [one for one in self.sent if len(self.runs.get(one, ())) > 1]

    @property
    def failed(self) -> list[str]:
        """Deliveries whose run ended otherwise than it should."""
        return [one for one in self.sent if self.runs.get(one, ["SUCCESS"]) != ["SUCCESS"] and one not in self.doubled]

    @property
    def untold(self) -> list[str]:
        """Deliveries whose commit has not exactly one successful check."""
        return [one for one in self.sent if self.checks.get(one) != ["success"]]


class Chaos:
    """One time of it.

    Args:
        runs: how many deliveries.
        faults: how many faults; the first ones are of all kinds, in a random order.
        seed: of what happens when.
    """

    def __init__(self, folder: Path, runs: int, faults: int, seed: int) -> None:
        self._folder = folder
        self._runs = runs
        self._faults = faults
        self._random = random.Random(seed)
        self._survived = Survived()
        self._lock = threading.Lock()

    def run(self) -> Survived:
        """Sends, breaks, waits until everything has settled, and counts."""
        with github_server() as github, controlled_postgres() as (url, postgres):
            server = ServerProcess.new(self._folder, github, database=url, settings={"limits": {"runs": _AT_ONCE}})
            try:
                repositories = [server.repository(f"shop{number}", {"maestro.yaml": WORKFLOW}) for number in range(3)]
                hooks = self._hooks(repositories)
                server.start(*TAKES, DAEMON)
                began = time.monotonic()
                with ThreadPoolExecutor(_SENDERS) as pool:
                    sending = [pool.submit(self._send, server, *hook) for hook in hooks]
                    # In this thread: PostgreSQL ends with the thread that has started it.
                    self._break(server, postgres)
                    for one in sending:
                        one.result()
                self._settle(server)
                self._look_at_checks(server, hooks)
                self._survived.seconds = time.monotonic() - began
                return self._survived
            finally:
                server.close()

    def _hooks(self, repositories: Sequence[Repository]) -> list[tuple[str, Webhook]]:
        found = []
        for number in range(self._runs):
            repository = repositories[number % len(repositories)]
            before = repository.head
            found.append((f"delivery-{number}", push(repository.full_name, repository.change(), before=before)))
        return found

    def _send(self, server: ServerProcess, delivery: str, hook: Webhook) -> None:
        """As GitHub's redelivery: again until it is taken."""
        with self._lock:
            pause = self._random.uniform(0.0, 2.0 * _SENDERS / 3)
        time.sleep(pause)
        while True:
            with suppress(httpx.TransportError):
                if server.post(hook, delivery).status_code in (200, 202):
                    break
            with self._lock:
                self._survived.retries += 1
            time.sleep(_AGAIN_SECONDS)
        with self._lock:
            self._survived.sent.append(delivery)

    def _break(self, server: ServerProcess, postgres: PostgresControl) -> None:
        kinds = list(FAULTS)
        self._random.shuffle(kinds)
        for number in range(self._faults):
            kind = kinds[number] if number < len(kinds) else self._random.choice(FAULTS)
            time.sleep(self._random.uniform(0.2, 2.0))
            if kind == POSTGRES:
                postgres.stop()
                time.sleep(self._random.uniform(0.0, 3.0))
                postgres.start()
            elif kind == WORKER:
                self._kill_worker(server)
            else:
                server.kill(kind)
                time.sleep(self._random.uniform(0.0, 1.0))
                server.start(kind)
            self._survived.faults.append(kind)

    def _kill_worker(self, server: ServerProcess) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            workers = [one.process for one in Records(server.home).all() if one.going_on]
            if workers:
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(self._random.choice(workers).pid).kill()
                return
            time.sleep(0.02)

    def _settle(self, server: ServerProcess) -> None:
        deadline = time.monotonic() + _LIMIT_SECONDS
        while time.monotonic() < deadline and not (self._ended(server) and server.outbox_empty()):
            time.sleep(0.5)

    def _look_at_checks(self, server: ServerProcess, hooks: Sequence[tuple[str, Webhook]]) -> None:
        """What was told of each; the end of the last run may be noticed after the outbox was empty."""
        deadline = time.monotonic() + _TOLD_SECONDS
        while True:
            self._survived.checks = {delivery: _conclusions(server, hook) for delivery, hook in hooks}
            if not self._survived.untold or time.monotonic() > deadline:
                return
            time.sleep(0.5)

    def _ended(self, server: ServerProcess) -> bool:
        found: dict[str, list[str]] = {}
        with server.instance() as instance:
            runs = instance.get_runs(dg.RunsFilter())
        for run in runs:
            delivery = run.tags.get(DELIVERY_TAG, "").partition(":")[2]
            if run.is_finished:
                found.setdefault(delivery, []).append(run.status.value)
            if run.is_finished and not run.is_success and delivery not in self._survived.stories:
                self._survived.stories[delivery] = server.story(run.run_id)
        self._survived.runs = found
        outcomes = Counter(one.state for one in server.outcomes.recent(10_000))
        return outcomes["started"] == self._runs and all(run.is_finished for run in runs) and len(runs) >= self._runs


def _conclusions(server: ServerProcess, hook: Webhook) -> list[str | None]:
    named = hook.content["repository"]["full_name"]
    # Commits of two repositories that were made in the same second are the same.
    return [
        one.get("conclusion") for one in server.github.checks_of(hook.content["after"]) if one["repository"] == named
    ]
