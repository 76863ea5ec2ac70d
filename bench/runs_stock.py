"""The peer of ``bench runs``: the same waiting step, as a plain asset, by Dagster's own launcher and executor."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import httpx

from bench.memory import proportional_mb, tree
from bench.processes import HeldLock, environment, until, web_server

_INSTANCE = """telemetry: {enabled: false}
run_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}
"""
_LAUNCH = """mutation { launchRun(executionParams: {selector: {repositoryLocationName: "bench.stock_wait",
    repositoryName: "__repository__", jobName: "wait"}}) { __typename } }"""
_GOING_ON = "query { runsOrError(filter: {statuses: [QUEUED, STARTING, STARTED]}) { ... on Runs { count } } }"


def stock_mb_per_run(count: int) -> float:
    """Memory of ``count`` runs at once, in MiB, divided; without Dagster's code server, which is there anyway."""
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-stock-", ignore_cleanup_errors=True)))
        (base / "dagster.yaml").write_text(_INSTANCE, encoding="utf-8")
        lock = HeldLock(base / "lock")
        stack.callback(lock.release)
        stack.enter_context(environment({"BENCH_LOCK": str(lock.file)}))
        url, pid = stack.enter_context(web_server(base, base, "-m", "bench.stock_wait"))
        client = stack.enter_context(httpx.Client(base_url=url, timeout=60))
        before = tree([pid])
        for _ in range(count):
            launched = client.post("/graphql", json={"query": _LAUNCH}).json()["data"]["launchRun"]["__typename"]
            if launched != "LaunchRunSuccess":
                raise RuntimeError(f"the stock launcher says {launched}")
        until(lambda: lock.waiting() >= count, f"{count} children wait", 300)
        used = proportional_mb(tree([pid]) - before)
        lock.release()
        until(
            lambda: client.post("/graphql", json={"query": _GOING_ON}).json()["data"]["runsOrError"]["count"] == 0,
            "all runs have ended",
            300,
        )
        return used / count
