"""SIGKILL at random moments of a run: after it is resumed, nothing is torn, no effect happened twice, no step is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest
from dagster import DagsterRunStatus

from maestro.artifacts import ArtifactStore, RecordStore, verify_all
from maestro.profile import load_profile
from tests.e2e.forked_maestro import started
from tests.integration.delivery import Delivery

KILLS = 50
PARTS = 2
WORKFLOW = """
    name: crash
    project: shop
    params:
      log: {type: string}
      mark: {type: string}
    env: {LOG: '{{ params.log }}', MARK: '{{ params.mark }}'}
    stages:
      - name: build
        parallel:
          - {id: one, run: shell, with: {command: 'mkdir -p dist; for i in $(seq 4000); do echo "one $i"; done > dist/one; sleep 0.05'}, outputs: [dist/one], cache: false}
          - {id: two, run: shell, with: {command: 'mkdir -p dist; for i in $(seq 4000); do echo "two $i"; done > dist/two; sleep 0.1'}, outputs: [dist/two], cache: false}
      - name: ship
        steps:
          - id: a
            run: shell
            with: {command: 'sleep 0.05; echo "do a" >> $LOG; sleep 0.05'}
            effects: {probe: '[ "$(grep -w a $LOG | tail -n 1)" = "do a" ]'}
            compensate: {with: {command: 'sleep 0.05; if [ "$(grep -w a $LOG | tail -n 1)" = "do a" ]; then echo "undo a" >> $LOG; fi; sleep 0.05'}}
          - id: b
            run: shell
            with: {command: 'sleep 0.05; echo "do b" >> $LOG; sleep 0.05'}
            effects: {probe: '[ "$(grep -w b $LOG | tail -n 1)" = "do b" ]'}
            compensate: {with: {command: 'sleep 0.05; if [ "$(grep -w b $LOG | tail -n 1)" = "do b" ]; then echo "undo b" >> $LOG; fi; sleep 0.05'}}
      - name: verify
        steps:
          - {id: whole, run: shell, with: {command: 'test -e $LOG.go; test $(wc -l < dist/one) = 4000; test $(wc -l < dist/two) = 4000'}, cache: false}
    finally:
      - {id: tell, run: shell, with: {command: 'sleep 0.05; echo told'}}
    """
STEPS = {"build/one", "build/two", "ship/a", "ship/b", "verify/whole"}


def newest_run(shop: Delivery) -> tuple[str, DagsterRunStatus]:
    with shop.instance() as instance:
        run = instance.get_runs(limit=1)[0]
        return run.run_id, run.status


def alive(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_after(process: BaseProcess, seconds: float) -> bool:
    """SIGKILL after ``seconds``; False when it had ended before."""
    process.join(seconds)
    if process.exitcode is not None:
        return False
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.fixture
def shop(tmp_path: Path) -> Delivery:
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root, load_profile("default"))
    made.git("init", "-q", "-b", "main")
    made.workflow(WORKFLOW)
    return made


def length_of_a_run(shop: Delivery, tmp_path: Path) -> float:
    """Seconds, of one that finds everything imported and the project's database made."""
    log = tmp_path / "warm"
    Path(f"{log}.go").touch()
    for _ in range(2):
        began = time.monotonic()
        process = started(shop.root, "run", "--param", f"log={log}", "--param", "mark=warm")
        process.join()
        assert process.exitcode == 0
    return time.monotonic() - began


def check_effects(log: Path, *, finished: bool) -> None:
    lines = log.read_text().splitlines() if log.exists() else []
    for name in ("a", "b"):
        words = [line.split()[0] for line in lines if line.split()[1] == name]
        assert words == ["do", "undo"] * (len(words) // 2) + ["do"] * (len(words) % 2), (name, lines)
        assert not finished or words[-1:] == ["do"], (name, lines)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_killed_at_random_moments_is_resumed_without_loss(part: int, shop: Delivery, tmp_path: Path) -> None:
    seed = int(os.environ.get("MAESTRO_CRASH_SEED") or random.SystemRandom().randrange(10**6))
    print(f"MAESTRO_CRASH_SEED={seed}")
    chance = random.Random(seed + part)
    length = length_of_a_run(shop, tmp_path)
    kills = 0
    delivery = 0
    while kills < KILLS // PARTS:
        delivery += 1
        mark = f"crash-{os.getpid()}-{delivery}"
        log = tmp_path / f"log-{delivery}"
        if delivery % 2:
            Path(f"{log}.go").touch()
        before, _ = newest_run(shop)
        process = started(shop.root, "run", "--param", f"log={log}", "--param", f"mark={mark}")
        while True:
            killed = kill_after(process, chance.uniform(0.02, 1.1) * length)
            kills += killed
            deadline = time.monotonic() + 5
            while alive(mark) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not alive(mark), f"processes survived (seed {seed})"
            check_effects(log, finished=False)
            newest, status = newest_run(shop)
            if newest == before:
                process = started(shop.root, "run", "--param", f"log={log}", "--param", f"mark={mark}")
                continue
            if status == DagsterRunStatus.SUCCESS:
                break
            Path(f"{log}.go").touch()
            process = started(shop.root, "retry", newest)
        check_effects(log, finished=True)
        check_nothing_is_lost(shop, newest)
    store = ArtifactStore.open(str(shop.root / ".maestro" / "artifacts"))
    assert verify_all(store).corrupt == ()


def check_nothing_is_lost(shop: Delivery, run_id: str) -> None:
    with shop.instance() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        chain = [run_id, *[one for one in run.tags.get("maestro/earlier", "").split(",") if one]]
    records = RecordStore(shop.store())
    passed = {record.step for one in chain for record in records.of_run(one) if record.passed}
    assert passed >= STEPS
    for name in ("one", "two"):
        expected = "".join(f"{name} {number}\n" for number in range(1, 4001))
        assert (shop.root / "dist" / name).read_text() == expected
