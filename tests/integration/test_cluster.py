"""Runs on other machines: they share a database, a broker and an artifact store, and no disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from redis import Redis

from maestro.server.leases import Leases
from maestro_defs.cluster.claims import WORKER_TAG, worker_of
from maestro_defs.cluster.launcher import ClusterLauncher
from maestro_defs.cluster.node import Node
from maestro_defs.launcher import DrainingError
from maestro_defs.warm.records import Records
from tests.integration.cluster import Cluster, open_cluster, s3_server
from tests.integration.machines import Machine
from tests.integration.redis_server import redis_server

DONE = dg.DagsterRunStatus.SUCCESS
# The last step ends at once everywhere but on the first machine, where it would take an hour.
WORKFLOW = """
name: delivery
project: shop
stages:
  - name: build
    steps:
      - id: first
        run: shell
        with: { command: 'cat app.txt > first.txt; hostname >> first.txt' }
        outputs: [first.txt]
        cache: false
      - id: slow
        run: shell
        with: { command: 'test "$(hostname)" != one || sleep 3600; hostname > slow.txt' }
        outputs: [slow.txt]
        cache: false
finally:
  - id: tidy
    run: shell
    with: { command: 'hostname > tidy.txt' }
    outputs: [tidy.txt]
"""


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(scope="module")
def s3_port() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture
def cluster(
    tmp_path: Path, postgres_database: str, redis_url: str, s3_port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    with Redis.from_url(redis_url) as broker:
        broker.flushdb()
    files = {"maestro.yaml": WORKFLOW, "app.txt": "from the repository\n"}
    with open_cluster(tmp_path, postgres_database, redis_url, s3_port, files, monkeypatch) as made:
        yield made


def in_progress_on_one(cluster: Cluster, **settings: object) -> str:
    """A run whose second step goes on on the machine ``one``."""
    cluster.start_node("one", **settings)
    run_id = cluster.submit()
    cluster.admit()
    cluster.until(lambda: cluster.started(run_id, "slow"), "the second step begins on the first machine")
    return run_id


@pytest.mark.parametrize("accident", [Machine.lose_power, Machine.cut_off])
def test_a_run_whose_machine_is_lost_goes_on_on_another_at_its_first_unfinished_step(
    cluster: Cluster, accident: Callable[[Machine], object]
) -> None:
    run_id = in_progress_on_one(cluster)
    one, _ = cluster.nodes["one"], cluster.start_node("two")
    cluster.monitor()
    assert str(worker_of(cluster.run(run_id)).name).startswith("one "), "a living worker keeps its run"
    accident(one)
    cluster.until(lambda: cluster.run(run_id).is_finished, "the run ends on the second machine", monitored=True)
    assert cluster.run(run_id).status == DONE
    assert cluster.run(run_id).tags[WORKER_TAG].startswith("two ")
    assert cluster.output(run_id, "build/first") == "from the repository\none\n"
    assert cluster.output(run_id, "build/slow") == "two\n"
    assert (cluster.started(run_id, "first"), cluster.started(run_id, "slow")) == (1, 2)
    cluster.until(
        lambda: not any("sleep" in p.name() for p in one.processes()), "nothing of the run goes on on the first"
    )


def test_a_run_that_is_told_twice_is_carried_out_once(cluster: Cluster) -> None:
    cluster.start_node("two")
    run_id = cluster.submit()
    cluster.admit()
    launcher = cluster.instance.run_launcher
    assert isinstance(launcher, ClusterLauncher)
    launcher._send(cluster.run(run_id))
    launcher._send(cluster.run(run_id))
    cluster.until(lambda: cluster.run(run_id).is_finished, "the run ends")
    assert cluster.run(run_id).status == DONE
    later = cluster.submit("test:2")
    cluster.admit()
    cluster.until(lambda: cluster.run(later).is_finished, "what was told after it ends")
    assert cluster.started(run_id, "first") == 1


def test_a_cancelled_run_stops_on_its_machine_and_does_what_it_does_at_its_end(cluster: Cluster) -> None:
    run_id = in_progress_on_one(cluster)
    assert cluster.instance.run_launcher.terminate(run_id)
    cluster.until(lambda: cluster.run(run_id).is_finished, "the run ends")
    assert cluster.run(run_id).status == dg.DagsterRunStatus.CANCELED
    assert cluster.output(run_id, "finally/tidy") == "one\n"
    assert not cluster.instance.run_launcher.terminate(run_id)


def test_a_run_that_was_cancelled_while_it_waited_for_a_worker_is_never_begun(cluster: Cluster) -> None:
    run_id = cluster.submit()
    cluster.admit()
    assert cluster.instance.run_launcher.terminate(run_id)
    assert cluster.run(run_id).status == dg.DagsterRunStatus.CANCELED
    node = Node(cluster.server.home, cluster.instance, Leases(cluster.server.engine))
    node.carry_out(run_id)
    assert cluster.run(run_id).status == dg.DagsterRunStatus.CANCELED
    assert Records(cluster.server.home).get(run_id) is None, "no worker was asked for"


def test_a_machine_that_is_stopped_leaves_its_run_for_another(cluster: Cluster) -> None:
    run_id = in_progress_on_one(cluster, launcher={"drain_seconds": 1, "leave_seconds": 0.5})
    one = cluster.nodes["one"]
    cluster.start_node("two")
    one.ask_to_stop()
    cluster.until(lambda: cluster.run(run_id).is_finished, "the run ends on the second machine", monitored=True)
    assert cluster.run(run_id).status == DONE
    assert cluster.output(run_id, "build/slow") == "two\n"
    cluster.until(lambda: not one.processes(), "the first machine's programs end")


def test_a_run_without_a_worker_is_known_to_wait_and_one_whose_message_is_lost_to_have_none(
    cluster: Cluster, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = cluster.instance.run_launcher
    assert isinstance(launcher, ClusterLauncher)
    run_id = cluster.submit()
    cluster.admit()
    assert launcher.check_run_worker_health(cluster.run(run_id)).status == WorkerStatus.RUNNING
    monkeypatch.setattr("maestro_defs.cluster.launcher.TAKING_SECONDS", 0.0)
    assert "messages in the queue: 1" in str(launcher.check_run_worker_health(cluster.run(run_id)).msg)
    with Redis.from_url(redis_url) as broker:
        broker.flushdb()
    assert launcher.check_run_worker_health(cluster.run(run_id)).status == WorkerStatus.NOT_FOUND


def test_while_the_broker_is_gone_runs_wait_and_none_is_taken_for_dead(cluster: Cluster) -> None:
    run_id = cluster.submit()
    nowhere = ClusterLauncher(broker="redis://:hush-hush@127.0.0.1:1/0", home=str(cluster.server.home.folder))
    nowhere.register_instance(cluster.instance)
    with pytest.raises(DrainingError, match="waits: the broker does not take it") as caught:
        nowhere.launch_run(LaunchRunContext(cluster.run(run_id), None))
    assert "hush-hush" not in str(caught.value)
    cluster.instance.add_run_tags(run_id, {WORKER_TAG: "one 1"})
    health = nowhere.check_run_worker_health(cluster.run(run_id))
    assert (health.status, health.msg) == (WorkerStatus.RUNNING, "The broker does not answer (OperationalError).")
    there = cluster.instance.run_launcher.check_run_worker_health(cluster.run(run_id))
    assert (there.status, there.msg) == (WorkerStatus.FAILED, "Its worker, one 1, is not heard of any more.")


def test_the_launcher_stands_on_a_method_of_dagster_celery_that_is_still_there() -> None:
    assert callable(CeleryRunLauncher._launch_celery_task_run)
