"""Whatever is killed, and though the database goes away: every delivery that was taken has exactly one finished run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
from dagster import DagsterRunStatus

from maestro.cli.server_parts import GATEWAY
from maestro.server.projects import Projects, RegisteredProject
from tests.e2e.chaos import FAULTS, Chaos
from tests.e2e.cli_process import until
from tests.e2e.server import server_process
from tests.integration.gateway_server import SIGNING_TOKEN, gitlab_signed, secret_file
from tests.integration.github_server import github_server
from tests.integration.postgres_control import controlled_postgres

RUNS = 24
HOUR = 3600


def test_every_delivery_has_exactly_one_finished_run(tmp_path: Path) -> None:
    survived = Chaos(tmp_path, RUNS, len(FAULTS), seed=4).run()
    assert sorted(survived.faults) == sorted(FAULTS)
    assert len(survived.sent) == RUNS
    told = "\n\n".join([str(survived), *survived.stories.values()])
    assert (survived.lost, survived.doubled, survived.failed, survived.untold) == ([], [], [], []), told


def test_a_run_whose_step_ends_while_the_database_is_away_goes_on_once_it_is_back(tmp_path: Path) -> None:
    gate, done = tmp_path / "gate", tmp_path / "done"
    waits = f"until [ -e {gate} ]; do sleep 0.05; done; touch {done}"
    workflow = f"""
        name: deliver
        on: push
        stages:
          - name: all
            steps:
              - {{id: wait, run: shell, with: {{command: '{waits}'}}}}
              - {{id: after, run: shell, with: {{command: 'echo after'}}}}
        """
    with (
        github_server() as github,
        controlled_postgres() as (url, postgres),
        server_process(tmp_path, github, database=url) as server,
    ):
        shop = server.repository("shop", {"maestro.yaml": workflow})
        run_id = server.started(server.push(shop))
        server.begins(run_id, "all/wait")
        postgres.stop()
        gate.touch()
        until(done.exists, "the step ends")
        postgres.start()
        assert server.ended(run_id).status == DagsterRunStatus.SUCCESS, server.story(run_id)
        assert set(server.steps(run_id, "STEP_SUCCESS")) == {"all__wait", "all__after"}
        server.check(shop.head, "success")


def test_a_delivery_of_another_hour_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with github_server() as github, server_process(tmp_path, github, (GATEWAY,)) as server:
        signing = secret_file(server.home.folder / "depot.signing", SIGNING_TOKEN)
        about = RegisteredProject(
            "depot", str(tmp_path), provider="gitlab", repository="acme/depot", hook_secrets=(signing,)
        )
        Projects(server.engine).add(about)
        body = json.dumps({"object_kind": "push", "project": {"path_with_namespace": "acme/depot"}}).encode()
        with httpx.Client(trust_env=False) as client:
            for wrong in (-HOUR, HOUR):
                headers = gitlab_signed(body, f"late{wrong}", time.time() + wrong)
                answer = client.post(f"{server.gateway}/hooks/gitlab/depot", content=body, headers=headers)
                assert answer.status_code == 401, answer.text
            headers = gitlab_signed(body, "now", time.time())
            assert client.post(f"{server.gateway}/hooks/gitlab/depot", content=body, headers=headers).status_code == 202
        assert server.inbox.newest() == 1
        assert server.delivery("now", "gitlab") is not None
