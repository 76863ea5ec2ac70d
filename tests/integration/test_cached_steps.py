"""What Dagster is told of a step from the cache is what it would have written itself, and it is told only of hits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from dagster import DagsterEvent
from dagster_shared.serdes import serialize_value

from tests.integration.delivery import Delivery, Finished

FLOW = """
    name: flow
    project: shop
    stages:
      - name: build
        steps:
          - {id: make, run: shell, with: {command: 'mkdir -p dist; echo made | tee dist/out'}, outputs: [dist/out]}
          - {id: say, run: shell, with: {command: 'echo said'}, continue_on_error: true}
      - name: check
        needs: [build]
        steps:
          - id: each
            run: shell
            with: {command: 'cat dist/out'}
            matrix: {python: ['3.11', '3.12']}
            retries: {max: 1}
"""
KEYS = ("build__make", "build__say", "check__each__3_11", "check__each__3_12")
TOLD = [
    "LOGS_CAPTURED",
    "STEP_START",
    "STEP_OUTPUT",
    "ASSET_MATERIALIZATION",
    "STEP_OUTPUT",
    "ASSET_CHECK_EVALUATION",
    "STEP_SUCCESS",
]


def told_of(run: Finished, step_key: str) -> list[DagsterEvent]:
    """The events of a step, the one about its log among them."""
    return [
        event
        for event in run.events
        if event.step_key == step_key
        or (event.event_type_value == "LOGS_CAPTURED" and event.logs_captured_data.step_keys == [step_key])
    ]


def comparable(event: DagsterEvent, run_id: str) -> Any:
    """All an event says, but for what differs from run to run: its id, times, and the ids of stored rows."""
    return without_times(json.loads(serialize_value(event).replace(run_id, "RUN")))


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "ID" if name == "storage_id" or name.startswith("dagster/input_event_pointer") else without_times(one)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [without_times(one) for one in value]
    if isinstance(value, str):
        return re.sub(r" in [\d.]+(ms|s)\.$", " in TIME.", value)
    return "FLOAT" if isinstance(value, float) else value


def test_the_events_of_a_cached_step_are_those_dagster_makes(delivery: Delivery) -> None:
    delivery.workflow(FLOW)
    delivery.run()
    ours, dagsters = delivery.run(), delivery.run(cached=[])
    assert set(ours.plan.cached) == {"build/make", "build/say", "check/each/3.11", "check/each/3.12"}
    assert {record.cache for record in [*ours.records.values(), *dagsters.records.values()]} == {"hit"}
    for key in KEYS:
        told = told_of(ours, key)
        assert [event.event_type_value for event in told] == TOLD
        assert [comparable(event, ours.run_id) for event in told] == [
            comparable(event, dagsters.run_id) for event in told_of(dagsters, key)
        ]


def test_what_is_stored_of_a_cached_step_is_what_the_run_told(delivery: Delivery) -> None:
    delivery.workflow(FLOW)
    delivery.run()
    run = delivery.run()
    with delivery.instance() as instance:
        stored = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
        for key in KEYS:
            told = [event for event in told_of(run, key) if event.step_key]
            assert [event for event in stored if event.step_key == key and event.step_handle] == told
            asset = next(event.asset_key for event in stored if event.step_key == key and event.asset_key)
            newest = instance.get_latest_materialization_event(asset)
            assert newest is not None
            assert newest.run_id == run.run_id
        summary = instance.get_run_stats(run.run_id)
        assert (summary.steps_succeeded, summary.materializations) == (4, 4)


def test_a_step_that_is_not_in_the_cache_after_all_is_carried_out(delivery: Delivery) -> None:
    delivery.workflow(FLOW)
    run = delivery.run(cached=["build/make", "check/each/3.11"])
    assert run.passed, run.messages()
    assert {record.cache for record in run.records.values()} == {"miss"}
    for key in KEYS:
        assert [event.event_type_value for event in told_of(run, key)] == TOLD


def test_a_step_whose_cached_file_is_corrupt_is_carried_out_again(delivery: Delivery) -> None:
    delivery.workflow(FLOW)
    made = delivery.run().records["build/make"].outputs[0]
    (delivery.root / "dist" / "out").unlink()
    (stored,) = (delivery.project.home / "artifacts" / "cas").rglob(f"*{made.sha256[4:]}*")
    stored.write_bytes(b"else\n")
    run = delivery.run()
    assert run.passed, run.messages()
    assert "build/make" in run.plan.cached
    assert (run.records["build/make"].cache, run.records["build/say"].cache) == ("miss", "hit")
    assert "is made again" in run.logs["build__make"]
    assert [event.event_type_value for event in told_of(run, "build__make")] == TOLD
    assert Path(delivery.root / "dist" / "out").read_text() == "made\n"


def test_restored_steps_and_running_ones_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Both log events at the same time, from different threads; a lock held in the wrong order would stop the run."""
    root = tmp_path / "shop"
    root.mkdir()
    shop = Delivery(root)
    shop.git("init", "-q", "-b", "main")
    lines = ["name: flow", "project: shop", "stages:", "  - name: work", "    parallel:"]
    for number in range(60):
        depends = f", depends_on: [s{number - 20}]" if number >= 20 else ""
        lines.append(
            f"      - {{id: s{number}, run: shell, with: {{command: 'cat f{number % 20}'}}, inputs: [f{number % 20}]{depends}}}"
        )
    shop.write({f"f{number}": "0\n" for number in range(20)}, commit=False)
    shop.workflow("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "maestro.cli", "--project", str(root), "run"]
    for turn in range(4):
        shop.write({f"f{number}": f"{turn}\n" for number in range(0, 20, 2)}, commit=False)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert turn == 0 or "30 cached" in done.stdout


STALE = """
    name: flow
    project: shop
    stages:
      - name: build
        steps:
          - {id: make, run: shell, with: {command: 'mkdir -p dist; cp one dist/out'}, inputs: [one], outputs: [dist/out]}
          - {id: say, run: shell, with: {command: 'echo said'}, inputs: [maestro.yaml]}
      - name: check
        steps:
          - {id: read, run: shell, with: {command: 'cp dist/out copy'}, inputs: [maestro.yaml], outputs: [copy]}
"""


def test_a_step_that_reads_what_an_earlier_one_made_is_not_cached_over_its_change(delivery: Delivery) -> None:
    delivery.write({"one": "first"}, commit=False)
    delivery.workflow(STALE)
    assert delivery.run().passed
    delivery.write({"one": "second"})
    planned = {step.node.name: step.action for step in delivery.plan().steps}
    assert planned["build/make"] == "run"
    assert delivery.run().passed
    assert (delivery.project.root / "copy").read_text() == "second"
    again = {step.node.name: step.action for step in delivery.plan().steps}
    assert set(again.values()) == {"cached"}
