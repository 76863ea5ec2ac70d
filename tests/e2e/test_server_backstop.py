"""What Dagster's daemon does for a project: its times become deliveries, and it stands in for a dead conductor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from maestro.cli.server_parts import CONDUCTOR, GATEWAY, LAUNCHER
from maestro_defs.conductor import act_in_place
from maestro_defs.served import definitions_of_project
from tests.e2e.cli_process import started
from tests.e2e.server import Repository, ServerProcess, environment, server_process
from tests.integration.github_server import github_server

WORKFLOW = """
name: deliver
on: {push: {}, schedule: '0 3 * * 1'}
stages:
  - name: all
    steps:
      - {id: greet, run: shell, with: {command: 'echo hello'}}
"""
MONDAY = datetime(2027, 3, 1, 3, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Without a conductor, but for tests that start one."""
    folder = tmp_path_factory.mktemp("backstop")
    with github_server() as github, server_process(folder, github, (LAUNCHER, GATEWAY)) as running:
        yield running


@pytest.fixture(scope="module")
def shop(server: ServerProcess) -> Repository:
    return server.repository("shop", {"maestro.yaml": WORKFLOW})


def test_one_round_in_the_conductors_place_takes_deliveries_and_reports_runs(
    server: ServerProcess, shop: Repository
) -> None:
    delivery = server.push(shop)
    with environment(server.environment):
        said = act_in_place(server.home)
    assert said == ["no conductor is at work; took 1 deliveries in its place"]
    assert server.delivered(delivery).status == dg.DagsterRunStatus.SUCCESS
    with environment(server.environment):
        act_in_place(server.home)
    server.check(shop.head, "success")


def test_while_a_conductor_is_at_work_nothing_is_done_in_its_place(server: ServerProcess, shop: Repository) -> None:
    server.start(CONDUCTOR)
    with environment(server.environment):
        assert act_in_place(server.home) == []
    server.kill(CONDUCTOR)


def test_a_time_of_the_schedule_becomes_a_run_of_the_default_branchs_newest_commit(
    server: ServerProcess, shop: Repository
) -> None:
    head = shop.change({"new.txt": "new"})
    with environment(server.environment), server.instance() as instance:
        definitions = definitions_of_project(server.home, shop.name, {})
        dg.Definitions.validate_loadable(definitions)
        schedule = definitions.resolve_schedule_def("schedule")
        assert schedule.cron_schedule == "0 3 * * 1"
        for _ in range(2):  # A daemon that dies in between asks for the same time again.
            with dg.build_schedule_context(instance=instance, scheduled_execution_time=MONDAY) as context:
                assert not schedule.evaluate_tick(context).run_requests
        act_in_place(server.home)
    run = server.delivered("shop/0 3 * * 1/2027-03-01T03:00:00+00:00", "schedule")
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert run.tags["dagster/partition"] == head
    assert run.tags["maestro/branch"] == "main"


def test_the_daemons_sensor_takes_deliveries_while_no_conductor_does(server: ServerProcess, shop: Repository) -> None:
    delivery = server.push(shop)
    with started(shop.clone, "server", "daemon") as running:
        assert server.delivered(delivery).status == dg.DagsterRunStatus.SUCCESS
        running.process.terminate()
        assert running.end() == 0, running.text
