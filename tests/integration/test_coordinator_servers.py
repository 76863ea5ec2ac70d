"""Maestro's coordinator under Dagster's own web server and daemon: whatever starts a run, it waits in the queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import SENSOR_NAME_TAG
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget

from maestro.admission import Limits
from maestro_defs.coordinator import admit_queued
from tests.integration.hand_launcher import open_queue
from tests.integration.web_server import CHECKOUT, free_port

LOCATION = "tests.integration.queued_location"
SECONDS = 120.0
FINISHED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
LAUNCH = """mutation($p: ExecutionParams!) {
  launchRun(executionParams: $p) { __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }"""
AGAIN = """mutation($p: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }"""
CANCEL = """mutation($id: String!) { terminateRun(runId: $id) { __typename ... on Error { message } } }"""


@dataclass
class Servers:
    instance: DagsterInstance
    context: WorkspaceProcessContext
    url: str

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
        assert "errors" not in answer, answer
        return next(iter(answer["data"].values()))

    def launch(self, job: str) -> str:
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "pipelineName": job,
        }
        answer = self.ask(LAUNCH, p={"selector": selector, "runConfigData": {}})
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def run(self, run_id: str) -> DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def admit(self) -> tuple[str, ...]:
        return admit_queued(self.instance, self.context.create_request_context(), Limits()).launch

    def ended(self, run_id: str) -> DagsterRunStatus:
        eventually(lambda: self.run(run_id).status in FINISHED)
        return self.run(run_id).status


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def program(arguments: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], env=environment, cwd=log.parent, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in below:
            if child.is_running():
                child.kill()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("coordinator_servers")
    home = folder / "dagster"
    stock: dict[str, Any] = {"run_launcher": {"module": "dagster", "class": "DefaultRunLauncher"}}
    stock["concurrency"] = {"pools": {"granularity": "op"}}
    environment = {**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(CHECKOUT)}
    port = free_port()
    with ExitStack() as stack:
        queue = stack.enter_context(open_queue(home, folder / "server", settings=stock))
        queue.instance.event_log_storage.set_concurrency_slots("one_at_a_time", 1)
        web = ["dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-m", LOCATION]
        stack.enter_context(program(web, environment, folder / "web.log"))
        daemon = stack.enter_context(
            program(["dagster._daemon", "run", "-m", LOCATION], environment, folder / "daemon.log")
        )
        context = stack.enter_context(
            WorkspaceProcessContext(queue.instance, ModuleTarget(LOCATION, None, str(CHECKOUT), None))
        )
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert daemon.poll() is None, (folder / "daemon.log").read_text()
            try:
                return httpx.get(f"{url}/server_info", timeout=5).is_success
            except httpx.TransportError:
                return False

        eventually(answers)
        yield Servers(queue.instance, context, url)


def test_the_stock_daemon_runs_without_a_queue_of_its_own(servers: Servers) -> None:
    required = servers.instance.get_required_daemon_types()
    assert "SENSOR" in required
    assert "QUEUED_RUN_COORDINATOR" not in required
    eventually(lambda: all(status.healthy for status in servers.instance.get_daemon_statuses().values()))


def test_a_run_launched_in_the_ui_waits_and_is_carried_out_when_admitted(servers: Servers) -> None:
    run_id = servers.launch("quick")
    assert servers.run(run_id).status == DagsterRunStatus.QUEUED
    assert run_id in servers.admit()
    assert servers.ended(run_id) == DagsterRunStatus.SUCCESS


def test_a_queued_run_is_cancelled_in_the_ui(servers: Servers) -> None:
    run_id = servers.launch("quick")
    assert servers.ask(CANCEL, id=run_id)["__typename"] == "TerminateRunSuccess"
    assert servers.run(run_id).status == DagsterRunStatus.CANCELED
    assert run_id not in servers.admit()


def test_a_run_executed_again_in_the_ui_waits_too(servers: Servers) -> None:
    first = servers.launch("quick")
    servers.admit()
    servers.ended(first)
    answer = servers.ask(AGAIN, p={"parentRunId": first, "strategy": "ALL_STEPS"})
    assert answer["__typename"] == "LaunchRunSuccess", answer
    assert servers.run(answer["run"]["runId"]).status == DagsterRunStatus.QUEUED


def test_a_run_of_a_sensor_waits_too(servers: Servers) -> None:
    asked = RunsFilter(tags={SENSOR_NAME_TAG: "once"})
    eventually(lambda: servers.instance.get_runs(asked))
    run = servers.instance.get_runs(asked)[0]
    assert "PIPELINE_ENQUEUED" in [
        entry.dagster_event.event_type_value
        for entry in servers.instance.all_logs(run.run_id)
        if entry.dagster_event is not None
    ]


def test_pools_are_kept_step_by_step(servers: Servers) -> None:
    servers.instance.event_log_storage.claim_concurrency_slot("one_at_a_time", "somebody", "step")
    run_id = servers.launch("pooled")
    servers.admit()

    def said() -> str:
        return "\n".join(entry.message for entry in servers.instance.all_logs(run_id))

    eventually(lambda: "blocked by limit for pool one_at_a_time" in said())
    assert servers.run(run_id).status == DagsterRunStatus.STARTED
    servers.instance.event_log_storage.free_concurrency_slots_for_run("somebody")
    assert servers.ended(run_id) == DagsterRunStatus.SUCCESS
