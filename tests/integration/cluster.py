"""A cluster for tests: PostgreSQL, Redis and an S3 server here, a coordinator in the test, workers on other machines."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import dagster as dg
import pytest
from dagster._core.run_coordinator import SubmitRunContext
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from maestro.artifacts import RecordStore, StepRecord
from maestro.server.home import find_server
from maestro.server.projects import RegisteredProject
from maestro_defs.coordinator import admit_queued
from maestro_defs.making import AskedRun, make_run
from maestro_defs.server import Server
from tests.integration.machines import Machine, machine

PROGRAM = [sys.executable, "-m", "maestro_defs.cluster"]
ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 120.0
S3 = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.readline()
"""


@contextmanager
def s3_server() -> Iterator[int]:
    """Port of an S3 server with the bucket ``artifacts``."""
    with subprocess.Popen(
        [sys.executable, "-c", S3], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            with urlopen(Request(f"http://127.0.0.1:{port}/artifacts", method="PUT"), timeout=60):
                pass
            yield port
        finally:
            server.kill()


@dataclass
class Cluster:
    """The coordinator's side.

    Args:
        folder: everything of this test; no machine sees more of it than its own home.
        services: variable -> URL at this machine's own address.
    """

    folder: Path
    services: Mapping[str, str]
    server: Server
    instance: dg.DagsterInstance
    stack: ExitStack
    nodes: dict[str, Machine] = field(default_factory=dict)

    def environment(self, address: str, home: Path) -> dict[str, str]:
        """Of a program at ``address``."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("MAESTRO_", "DAGSTER_", "AWS_", "PYTEST_"))}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        here = {name: url.replace("127.0.0.1", address) for name, url in self.services.items()}
        return {
            **kept,
            **here,
            "MAESTRO_SERVER_HOME": str(home),
            "MAESTRO_ARTIFACTS": "s3://artifacts/maestro",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "hush-hush",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "PYTHONPATH": str(ROOT),
        }

    def start_node(self, name: str, **settings: Any) -> Machine:
        """A machine that takes one run at a time."""
        home = make_home(self.folder / name, **settings)
        ports = [urlsplit(url).port for url in self.services.values()]
        hidden = [self.folder / other for other in ("coordinator", "origin", *self.nodes)]
        node = self.stack.enter_context(machine(name, [port for port in ports if port], hidden))
        self.nodes[name] = node
        node.start([*PROGRAM, "--places", "1"], self.environment(node.gateway, home), self.log(name))
        return node

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def submit(self, delivery: str = "test:1") -> str:
        """A run of the newest commit, in the queue."""
        project = self.server.projects.get("shop")
        sha = self.server.default_revision(project)
        loaded = self.server.workflow(project, sha)
        made = make_run(self.server, self.instance, project, loaded, AskedRun(delivery, sha, sha, "main"))
        assert made is not None
        self.instance.run_coordinator.submit_run(SubmitRunContext(made.run, None))  # type: ignore[arg-type]  # not looked at
        return made.run.run_id

    def admit(self) -> None:
        """One round of the conductor."""
        admit_queued(self.instance, None, self.server.home.settings.limits)

    def monitor(self) -> None:
        """One round of Dagster's monitoring daemon."""
        context: Any = SimpleNamespace(instance=self.instance, create_request_context=lambda: None)
        problems = list(execute_run_monitoring_iteration(context, logging.getLogger("monitoring")))
        assert not any(problems), problems

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def until(self, condition: Callable[[], object], what: str, *, monitored: bool = False) -> None:
        """Waits for ``condition``; fails the test, with what the machines printed, when it never comes true."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                said = "\n".join(f"--- {one.name}\n{one.read_text()[-4000:]}" for one in self.folder.glob("*.log"))
                said += "\n".join(f"--- {one}\n{one.read_text()[-4000:]}" for one in self.folder.glob("*/logs/runs/*"))
                pytest.fail(f"never: {what}\n{said}")
            if monitored:
                self.monitor()
            time.sleep(0.2)

    def records(self, run_id: str) -> dict[str, StepRecord]:
        """What the run's steps did, out of the artifact store."""
        store = RecordStore(self.server.store(self.server.projects.get("shop")))
        return {record.step: record for record in store.of_run(run_id)}

    def output(self, run_id: str, step: str) -> str:
        """The first file a step left behind."""
        record = self.records(run_id)[step]
        return self.server.store(self.server.projects.get("shop")).get_bytes(record.outputs[0].sha256).decode()

    def started(self, run_id: str, step: str) -> int:
        """How often a step of the run was begun."""
        events = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
        return sum(entry.step_key is not None and entry.step_key.endswith(step) for entry in events)


def make_home(folder: Path, **settings: Any) -> Path:
    folder.mkdir()
    content = {"profile": "cluster", "database": "env:MAESTRO_POSTGRES_URL", **settings}
    (folder / "server.yaml").write_text(json.dumps(content), "utf-8")
    return folder


def make_origin(folder: Path, files: Mapping[str, str]) -> Path:
    """A bare repository with ``files`` on its branch main."""
    work = folder / "origin-work"
    work.mkdir()
    for name, text in files.items():
        (work / name).write_text(text, "utf-8")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    for words in (["init", "-qb", "main"], ["add", "-A"], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=work, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(folder / "origin")], check=True)
    return folder / "origin"


@contextmanager
def open_cluster(
    folder: Path, database: str, redis: str, s3: int, files: Mapping[str, str], patch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """A coordinator for the project ``shop``, which has ``files``; no worker yet."""
    services = {
        "MAESTRO_POSTGRES_URL": database,
        "MAESTRO_BROKER_URL": redis,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
    }
    server = Server(find_server(make_home(folder / "coordinator")))
    with ExitStack() as stack:
        cluster = Cluster(folder, services, server, None, stack)  # type: ignore[arg-type]  # comes below
        for name, value in cluster.environment("127.0.0.1", folder / "coordinator").items():
            if name.startswith(("MAESTRO_", "AWS_")):
                patch.setenv(name, value)
        cluster.instance = stack.enter_context(server.instance())
        server.projects.add(RegisteredProject("shop", str(make_origin(folder, files)), provider="git"))
        yield cluster
