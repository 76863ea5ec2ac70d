"""Many runs active at once, each waiting on a child process: their memory, the web server meanwhile, and the peer."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import httpx
import psutil
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget

from bench.memory import proportional_mb, tree
from bench.processes import HeldLock, environment, program, until, web_server
from bench.projects import shell_steps
from bench.report import Figure, at_most
from bench.runs_body import PROJECT, opened, source_of
from bench.runs_stock import stock_mb_per_run
from maestro.project import current_revision
from maestro.runs.tags import PARTITION_TAG, PROJECT_TAG, WORKFLOW_TAG
from maestro.server.home import HOME_VARIABLE, ServerHome, find_server
from maestro_defs.compiler import compile_workflow, job_name
from maestro_defs.partitions import register_revision
from maestro_defs.warm import wire
from maestro_defs.warm.records import Records, server_socket
from tests.integration.postgres_server import postgres_database, postgres_server

_UI_ROUNDS = 10
_RUNS = """query { runsOrError(limit: 30, filter: {statuses: [STARTED]}) { ... on Runs { results {
    runId status jobName startTime tags { key value } stats { ... on RunStatsSnapshot { startTime } } } } } }"""
_COUNT = "query { runsOrError(filter: {statuses: [STARTED]}) { ... on Runs { count } } }"
_RUN = """query { runOrError(runId: "%s") { ... on Run { status eventConnection { events { __typename } } } } }"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one round of many runs took.

    Args:
        active: runs whose child process was there at the same time.
        launched_s: from the first launch until all were active.
        processors: how many were busy while all runs waited.
    """

    active: int
    mb_per_run: float
    ui_s: float
    succeeded: int
    launched_s: float
    ended_s: float
    processors: float


def measure(*, quick: bool) -> list[Figure]:
    """1,000 runs in workers of 25; 40 with one each, for comparison; the stock launcher's runs."""
    count, places, few = (50, 25, 10) if quick else (1000, 25, 40)
    many = many_runs(count, places, postgres=True)
    alone = many_runs(few, 1, postgres=True)
    stock = stock_mb_per_run(5 if quick else 15)
    return [
        Figure("active", many.active, "", "runs active at once, in workers of 25, on PostgreSQL", f">= {count}"),
        at_most("mb_per_run", many.mb_per_run, 20, "MiB", "warm server, workers, guards and children, divided"),
        Figure("stock_mb_per_run", round(stock, 1), "MiB", "a run of the stock launcher and executor, for comparison"),
        at_most("ui_s", many.ui_s, 2, "s", "the slowest page or query of the web server meanwhile"),
        Figure("succeeded", many.succeeded, "", "runs that ended as they should", f">= {count}"),
        Figure("launched_s", round(many.launched_s, 1), "s", "until all of them were active"),
        Figure("ended_s", round(many.ended_s, 1), "s", "until all of them had ended, once their children could"),
        Figure("processors", round(many.processors, 2), "", "processors busy while all runs wait"),
        Figure("alone_mb_per_run", round(alone.mb_per_run, 1), "MiB", "with a worker for each run"),
    ]


def many_runs(count: int, places: int, *, postgres: bool) -> Measured:
    """Starts ``count`` runs, measures while all of them wait, and lets them end."""
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-runs-", ignore_cleanup_errors=True)))
        lock = HeldLock(base / "lock")
        stack.callback(lock.release)
        project = shell_steps(base / "project", 1, 1, f"exec flock -s {lock.file} true")
        if postgres:
            url = stack.enter_context(postgres_database(stack.enter_context(postgres_server())))
            stack.enter_context(environment({"MAESTRO_POSTGRES_URL": url}))
        home = _home(base / "home", places, postgres=postgres)
        stack.enter_context(environment({HOME_VARIABLE: str(home.folder), PROJECT: str(project)}))
        instance = stack.enter_context(opened(home.dagster, home.settings.profile))
        warm = stack.enter_context(program(["-m", "maestro_defs.warm", "--body", "bench.runs_body:carry_out"], base))
        until(lambda: _answers(home), "the warm server answers", 60)
        web = stack.enter_context(web_server(base, home.dagster, "--empty-workspace"))[0]
        began = time.monotonic()
        runs = _launch(instance, project, home.settings.profile, count)
        until(lambda: lock.waiting() >= count, f"{count} children wait", 600)
        launched = time.monotonic() - began
        workers = {record.process.pid for record in Records(home).all() if record.going_on}
        processes = tree({warm.pid, *workers})
        used = proportional_mb(processes)
        active = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        busy = _processors(processes, 5)
        slowest = _ui(web, runs)
        began = time.monotonic()
        lock.release()
        until(lambda: _all_ended(instance), "all runs have ended", 600)
        ended = time.monotonic() - began
        statuses = Counter(run.status for run in instance.get_runs(dg.RunsFilter(run_ids=runs)))
        succeeded = statuses[dg.DagsterRunStatus.SUCCESS]
        return Measured(active, used / count, slowest, succeeded, launched, ended, busy)


def _home(folder: Path, places: int, *, postgres: bool) -> ServerHome:
    folder.mkdir()
    settings = [f"profile: {'server' if postgres else 'single'}", f"launcher: {{runs_per_worker: {places}}}"]
    if postgres:
        settings.append("database: env:MAESTRO_POSTGRES_URL")
    (folder / "server.yaml").write_text("\n".join(settings) + "\n", encoding="utf-8")
    return find_server(folder)


def _launch(instance: dg.DagsterInstance, project: Path, profile: str, count: int) -> list[str]:
    source = source_of(project, profile)
    revision = current_revision(source.project).id
    job = compile_workflow(source).resolve_job_def(job_name(source.loaded.workflow.name))
    register_revision(instance, source.project_name, revision)
    tags = {PROJECT_TAG: source.project_name, WORKFLOW_TAG: source.loaded.workflow.name, PARTITION_TAG: revision}
    runs = []
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:
        workspace = context.create_request_context()
        for _ in range(count):
            run = instance.create_run_for_job(job_def=job, tags=tags, asset_selection=job.asset_selection)
            instance.launch_run(run.run_id, workspace)
            runs.append(run.run_id)
    return runs


def _all_ended(instance: dg.DagsterInstance) -> bool:
    going_on = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    return not instance.get_runs_count(dg.RunsFilter(statuses=going_on))


def _processors(pids: set[int], seconds: float) -> float:
    def spent() -> float:
        total = 0.0
        for pid in pids:
            try:
                times = psutil.Process(pid).cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    before, began = spent(), time.monotonic()
    time.sleep(seconds)
    return (spent() - before) / (time.monotonic() - began)


def _ui(url: str, runs: list[str]) -> float:
    """Seconds of the slowest answer."""
    slowest = 0.0
    with httpx.Client(base_url=url, timeout=60) as client:
        for number in range(_UI_ROUNDS):
            run = runs[number * len(runs) // _UI_ROUNDS]
            for query in (None, _RUNS, _COUNT, _RUN % run):
                began = time.monotonic()
                answer = client.post("/graphql", json={"query": query}) if query else client.get("/runs")
                slowest = max(slowest, time.monotonic() - began)
                if not answer.is_success or (query and "errors" in answer.json()):
                    raise RuntimeError(f"the web server answers {answer.status_code}: {answer.text[:500]}")
    return slowest


def _answers(home: ServerHome) -> bool:
    try:
        return bool(wire.ask(server_socket(home), {"op": "state"}, 5.0)["ok"])
    except wire.NoAnswerError:
        return False
