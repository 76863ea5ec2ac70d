"""From a webhook to the first step at work: a server of Maestro's, and beside it a stock sensor with stock launcher.

The server is idle: each push is sent when the run of the one before has ended. A push is a real one, of a commit the
server has to fetch from a bare repository on this machine.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import sqlite3
import statistics
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import dagster as dg

from bench.processes import environment, program, until
from bench.projects import commit
from bench.report import Figure, at_most
from bench.stock_inbox import TABLE
from maestro.runs.tags import DELIVERY_TAG
from maestro.server.database import open_engine
from maestro.server.home import HOME_VARIABLE, find_server
from maestro.server.projects import Projects, RegisteredProject
from maestro_defs.server import Server
from tests.integration.postgres_server import postgres_database, postgres_server

_WORKFLOW = """name: app
on: { push: {} }
stages:
  - name: test
    steps:
      - { id: hello, run: shell, with: { command: 'echo hello' }, cache: false }
"""
_SECRET = "bench-secret"  # pragma: allowlist secret
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def measure(*, quick: bool) -> list[Figure]:
    """100 pushes on SQLite and on PostgreSQL, 20 of the peer."""
    ours = maestro_seconds(10 if quick else 100)
    postgres = maestro_seconds(10 if quick else 100, postgres=True)
    stock = stock_seconds(4 if quick else 20)
    return [
        at_most("p50_s", statistics.median(ours), 0.3, "s", "webhook accepted to first STEP_START, median"),
        at_most("p95_s", _high(ours), 0.6, "s", "the same, 95th percentile"),
        Figure("postgres_p50_s", round(statistics.median(postgres), 3), "s", "the same on PostgreSQL, median"),
        Figure("postgres_p95_s", round(_high(postgres), 3), "s", "the same, 95th percentile"),
        Figure("stock_p50_s", round(statistics.median(stock), 3), "s", "stock sensor and launcher on SQLite, median"),
        Figure("stock_p95_s", round(_high(stock), 3), "s", "the same, 95th percentile"),
    ]


def maestro_seconds(count: int, *, postgres: bool = False) -> list[float]:
    """Seconds for each of ``count`` pushes to a whole server."""
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-latency-")))
        folder = base / "home"
        folder.mkdir()
        values = {HOME_VARIABLE: str(folder), "BENCH_SECRET": _SECRET}
        settings = "gateway: {port: 0}\nweb: {port: 0}\n"
        if postgres:
            values["MAESTRO_POSTGRES_URL"] = stack.enter_context(
                postgres_database(stack.enter_context(postgres_server()))
            )
            settings += "profile: server\ndatabase: env:MAESTRO_POSTGRES_URL\n"
        stack.enter_context(environment(values))
        gateway, web = _free_ports()
        settings = settings.replace("gateway: {port: 0}", f"gateway: {{port: {gateway}}}")
        (folder / "server.yaml").write_text(settings.replace("{port: 0}", f"{{port: {web}}}"), encoding="utf-8")
        home = find_server(folder)
        origin, work = _repository(base)
        project = RegisteredProject(
            "app", str(origin), repository="acme/app", default_branch="main", hook_secrets=("env:BENCH_SECRET",)
        )
        Projects(open_engine(home.database_url)).add(project)
        stack.enter_context(program(["-m", "maestro.cli", "server"], base))
        log = base / "programs.log"
        until(lambda: b"the server is ready" in log.read_bytes(), "the server is ready", 180)
        server = Server(home)
        instance = stack.enter_context(server.instance())
        found = []
        for number in range(count + 2):
            delivery = str(uuid.uuid4())
            sha, before = _push(work, number)
            _send(gateway, delivery, sha, before)
            accepted = time.time()
            found.append(_first_step(instance, {DELIVERY_TAG: f"github:{delivery}"}) - accepted)
        return found[2:]  # The first ones find caches of the machine cold.


def stock_seconds(count: int) -> list[float]:
    """Seconds for each of ``count`` rows to stock Dagster: daemon, sensor every second, default launcher."""
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-latency-")))
        (base / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        file = base / "inbox.db"
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute(TABLE)
        stack.callback(connection.close)
        stack.enter_context(environment({"DAGSTER_HOME": str(base), "BENCH_INBOX": str(file)}))
        stack.enter_context(program(["-m", "dagster._daemon", "run", "-m", "bench.stock_inbox"], base))
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(base)))
        chance = random.Random(4)
        found = []
        for _ in range(count + 1):
            delivery = str(uuid.uuid4())
            connection.execute("insert into inbox(delivery) values(?)", (delivery,))
            inserted = time.time()
            found.append(_first_step(instance, {"delivery": delivery}) - inserted)
            # Not in step with the daemon's own loop.
            time.sleep(chance.uniform(1, 4))
        return found[1:]


def _first_step(instance: dg.DagsterInstance, tags: dict[str, str]) -> float:
    """When the first step of the run with ``tags`` began, once the run has ended."""
    filters = dg.RunsFilter(tags=tags)
    ended: list[dg.DagsterRun] = []

    def look() -> bool:
        ended[:] = [run for run in instance.get_runs(filters) if run.is_finished]
        return bool(ended)

    until(look, "the run has ended", 120)
    if ended[0].status != dg.DagsterRunStatus.SUCCESS:
        raise RuntimeError(f"run {ended[0].run_id} ended as {ended[0].status.value}")
    records = instance.get_records_for_run(ended[0].run_id, of_type=dg.DagsterEventType.STEP_START).records
    return records[0].timestamp


def _repository(base: Path) -> tuple[Path, Path]:
    work, origin = base / "work", base / "app.git"
    work.mkdir()
    (work / "maestro.yaml").write_text(_WORKFLOW, encoding="utf-8")
    commit(work)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(origin)], check=True)
    _git(work, "remote", "add", "origin", str(origin))
    return origin, work


def _push(work: Path, number: int) -> tuple[str, str]:
    before = _git(work, "rev-parse", "HEAD")
    (work / "number.txt").write_text(f"{number}\n", encoding="utf-8")
    _git(work, "add", "number.txt")
    _git(work, "-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "-q", "-m", f"push {number}")
    _git(work, "push", "-q", "origin", "HEAD:refs/heads/main")
    return _git(work, "rev-parse", "HEAD"), before


def _git(work: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(work), *words], check=True, capture_output=True, text=True, env=os.environ)
    return done.stdout.strip()


def _send(port: int, delivery: str, sha: str, before: str) -> None:
    about = {"full_name": "acme/app", "default_branch": "main"}
    person = {"login": "ann"}
    content = {
        "ref": "refs/heads/main",
        "before": before,
        "after": sha,
        "created": False,
        "deleted": False,
        "forced": False,
        "repository": about,
        "sender": person,
        "pusher": {"name": "ann"},
        "head_commit": {"id": sha, "message": "push"},
    }
    body = json.dumps(content).encode()
    headers = {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": delivery,
        "x-hub-signature-256": "sha256=" + hmac.new(_SECRET.encode(), body, hashlib.sha256).hexdigest(),
    }
    with _OPENER.open(urllib.request.Request(f"http://127.0.0.1:{port}/hooks/github/app", body, headers)) as answer:
        if answer.status != 202:
            raise RuntimeError(f"the gateway answers {answer.status}")


def _high(found: Sequence[float]) -> float:
    return sorted(found)[min(len(found) - 1, int(len(found) * 0.95))]


def _free_ports() -> tuple[int, int]:
    import socket

    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
