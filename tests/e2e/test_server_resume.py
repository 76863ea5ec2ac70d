"""A run whose worker is killed goes on in another one: Dagster's daemon notices it, finished steps are not done again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from dagster import DagsterRunStatus

from maestro.cli.server_parts import DAEMON, LAUNCHER
from maestro_defs.warm.records import Records
from tests.e2e.cli_process import until
from tests.e2e.server import TAKES, ServerProcess, server_process
from tests.integration.github_server import github_server
from tests.integration.postgres_server import postgres_database

WORKFLOW = """
name: deliver
on: push
stages:
  - name: all
    steps:
      - {id: first, run: shell, cache: false, with: {command: 'echo first >> FOLDER/log; echo "made=by the first" >> $MAESTRO_OUTPUT'}}
      - id: second
        run: shell
        cache: false
        with:
          command: |
            echo second >> FOLDER/log
            until [ -e FOLDER/gate ]; do sleep 0.05; done
            echo "{{ steps.first.outputs.made }}" >> FOLDER/log
      - {id: third, run: shell, cache: false, with: {command: 'echo third >> FOLDER/log'}}
finally:
  - {id: tell, run: shell, with: {command: 'echo finally >> FOLDER/log'}}
"""


# SQLite is behind the other tests of the server; more of it here would only take time.
@pytest.fixture(scope="module", params=["postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ExitStack() as stack:
        postgres = request.param == "postgresql"
        url = request.getfixturevalue("postgres_url") if postgres else None
        database = stack.enter_context(postgres_database(url)) if url else None
        github = stack.enter_context(github_server())
        folder = tmp_path_factory.mktemp("resume")
        programs = (*TAKES, DAEMON)
        yield stack.enter_context(server_process(folder, github, programs, database=database))


def test_a_run_whose_worker_is_killed_is_resumed_and_finishes(server: ServerProcess) -> None:
    folder = server.home.folder.parent / "steps"
    folder.mkdir()
    shop = server.repository("shop", {"maestro.yaml": WORKFLOW.replace("FOLDER", str(folder))})
    run_id = server.started(server.push(shop))
    until(lambda: lines(folder / "log")[-1:] == ["second"], lambda: server.story(run_id))
    worker = Records(server.home).get(run_id)
    assert worker is not None
    psutil.Process(worker.process.pid).kill()
    until(lambda: lines(folder / "log").count("second") == 2, lambda: server.story(run_id))
    (folder / "gate").touch()
    assert server.ended(run_id).status == DagsterRunStatus.SUCCESS, server.story(run_id)
    assert lines(folder / "log") == ["first", "second", "second", "by the first", "third", "finally"]
    succeeded = Counter(server.steps(run_id, "STEP_SUCCESS"))
    assert succeeded == {"all__first": 1, "all__second": 1, "all__third": 1, "finally__tell": 1}
    assert server.steps(run_id, "STEP_START").count("all__first") == 1
    assert server.steps(run_id, "ASSET_MATERIALIZATION").count("all__first") == 1
    check = server.check(shop.head, "success")
    assert check["external_id"] == run_id


def test_a_run_outlives_the_warm_server_that_has_started_it(server: ServerProcess) -> None:
    folder = server.home.folder.parent / "outlives"
    folder.mkdir()
    depot = server.repository("depot", {"maestro.yaml": WORKFLOW.replace("FOLDER", str(folder))})
    run_id = server.started(server.push(depot))
    until(lambda: lines(folder / "log")[-1:] == ["second"], lambda: server.story(run_id))
    server.kill(LAUNCHER)
    server.start(LAUNCHER)
    (folder / "gate").touch()
    assert server.ended(run_id).status == DagsterRunStatus.SUCCESS, server.story(run_id)
    assert lines(folder / "log") == ["first", "second", "by the first", "third", "finally"]


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
