"""The backstop: a run whose process was killed is marked as failed, undone, and its finally steps run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

import sensors.end_of_run
from maestro.artifacts import RecordStore
from maestro.errors import InputError
from maestro.ledger.model import Scope, Unit
from maestro.ledger.store import Ledger
from maestro.profile import load_profile
from maestro.runs.tags import ENDED_TAG
from maestro_defs.compiler import compile_workflow
from maestro_defs.late_end import LATE_END_JOB, claim_end
from resources.delivery import Source
from tests.integration.delivery import Delivery


@pytest.fixture
def shop(tmp_path: Path) -> Delivery:
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root, load_profile("default"))
    made.git("init", "-q", "-b", "main")
    log = tmp_path / "log"
    made.workflow(f"""
        name: flow
        project: shop
        params: {{greeting: {{type: string, default: hello}}}}
        stages:
          - name: ship
            steps:
              - id: deploy
                run: shell
                with: {{command: 'echo deploy >> {log}'}}
                effects: true
                compensate: {{with: {{command: 'echo undo {{{{ params.greeting }}}} >> {log}'}}}}
              - {{id: wait, run: shell, with: {{command: 'touch {tmp_path}/waiting; sleep 600'}}}}
        finally:
          - {{id: bye, run: shell, with: {{command: 'echo bye >> {log}'}}}}
        """)
    return made


def killed_run(shop: Delivery, tmp_path: Path) -> str:
    process = subprocess.Popen(
        [sys.executable, "-m", "maestro.cli", "--project", str(shop.root), "run", "--param", "greeting=ciao"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "waiting").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with shop.instance() as instance:
        return instance.get_runs(limit=1)[0].run_id


def definitions(shop: Delivery) -> tuple[Source, dg.Definitions]:
    source = Source.load(shop.project, shop.profile)
    return source, compile_workflow(source)


def tick(defs: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    sensor = defs.resolve_sensor_def("end_of_run")
    context = dg.build_sensor_context(instance=instance, definitions=defs)
    found = sensor.evaluate_tick(context)
    return list(found.run_requests or [])


def test_a_killed_run_is_failed_undone_and_its_finally_steps_run(
    shop: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors.end_of_run, "_GRACE_SECONDS", 0.0)
    run_id = killed_run(shop, tmp_path)
    # What is begun is ended, also where the project has nothing left to begin with.
    with Ledger.open(f"sqlite:///{shop.project.home / 'ledger.db'}") as ledger:
        for unit in (Unit.RUNS, Unit.MINUTES):
            ledger.set_limit(Scope("project", "local/shop"), unit, 0, actor="boss", reason="test")
    _source, defs = definitions(shop)
    with shop.instance() as instance:
        requests = tick(defs, instance)
        killed = instance.get_run_by_id(run_id)
        assert killed is not None
        assert killed.status == dg.DagsterRunStatus.FAILURE
        assert [request.run_key for request in requests] == [run_id]
        job = defs.resolve_job_def(LATE_END_JOB)
        assert job.execute_in_process(run_config=requests[0].run_config, instance=instance).success
        assert (tmp_path / "log").read_text().splitlines() == ["deploy", "undo ciao", "bye"]
        ended = instance.get_run_by_id(run_id)
        assert ended is not None
        assert ended.tags[ENDED_TAG] == "late"
        told = [entry.message for entry in instance.all_logs(run_id)]
        assert any("Compensation: step ship/deploy undone" in line for line in told)
        assert any("Finally: step finally/bye passed" in line for line in told)
        assert tick(defs, instance) == []
    claim_end(_source, run_id, "resume")  # Ended late, it can be resumed again.
    record = RecordStore(shop.store()).of_run_step(run_id, "ship/deploy")
    assert record is not None
    assert not record.passed


def test_a_run_that_ended_properly_is_left_alone(shop: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors.end_of_run, "_GRACE_SECONDS", 0.0)
    run = shop.run("deploy")
    assert run.passed, run.failures()
    _source, defs = definitions(shop)
    with shop.instance() as instance:
        assert tick(defs, instance) == []


def test_a_run_is_either_resumed_or_ended_late_never_both(shop: Delivery) -> None:
    source, _defs = definitions(shop)
    claim_end(source, "resumed-run", "resume")
    claim_end(source, "resumed-run", "resume")
    with pytest.raises(InputError, match="has been resumed"):
        claim_end(source, "resumed-run", "end")
    claim_end(source, "ended-run", "end")
    with pytest.raises(InputError, match="is being ended"):
        claim_end(source, "ended-run", "resume")
