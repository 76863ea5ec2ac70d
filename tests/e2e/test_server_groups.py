"""Runs of one group: one after another in the order of their pushes, or the newest in place of those before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from maestro.cli.server_parts import CONDUCTOR
from tests.e2e.cli_process import until
from tests.e2e.server import Repository, ServerProcess, server_process, statuses
from tests.e2e.server_events import push
from tests.integration.github_server import github_server
from tests.integration.postgres_server import postgres_database

WORKFLOW = """
name: deliver
on: push
concurrency: {group: '{{ git.branch }}', cancel_superseded: CANCEL}
stages:
  - name: all
    steps:
      - id: wait
        run: shell
        cache: false
        with:
          command: |
            echo "begin {{ git.sha }}" >> FOLDER/log
            until [ -e FOLDER/gate ]; do sleep 0.05; done
            echo "end {{ git.sha }}" >> FOLDER/log
"""


# SQLite is behind the other tests of the server; more of it here would only take time.
@pytest.fixture(scope="module", params=["postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ExitStack() as stack:
        postgres = request.param == "postgresql"
        url = request.getfixturevalue("postgres_url") if postgres else None
        database = stack.enter_context(postgres_database(url)) if url else None
        github = stack.enter_context(github_server())
        folder = tmp_path_factory.mktemp("groups")
        yield stack.enter_context(server_process(folder, github, database=database))


def test_a_newer_push_cancels_those_before_it(server: ServerProcess) -> None:
    shop, folder = repository(server, "newest", cancel=True)
    pushes = [(server.push(shop), shop.head) for _ in range(3)]
    runs = [server.started(delivery) for delivery, _ in pushes]
    assert server.ended(runs[0]).status == DagsterRunStatus.CANCELED
    assert server.ended(runs[1]).status == DagsterRunStatus.CANCELED
    (folder / "gate").touch()
    assert server.ended(runs[2]).status == DagsterRunStatus.SUCCESS, server.story(runs[2])
    for (_, sha), conclusion in zip(pushes, ("cancelled", "cancelled", "success"), strict=True):
        server.check(sha, conclusion)
    for run_id in runs[:2]:
        assert f"run {runs[1][:8]}" in server.story(run_id) or f"run {runs[2][:8]}" in server.story(run_id)


def test_without_cancelling_they_go_one_after_another_in_the_order_of_their_pushes(server: ServerProcess) -> None:
    shop, folder = repository(server, "ordered", cancel=False)
    pushes = [(server.push(shop), shop.head) for _ in range(3)]
    runs = [server.started(delivery) for delivery, _ in pushes]
    server.begins(runs[0], "all/wait")
    assert statuses(server.runs(shop)) == ["STARTED", "QUEUED", "QUEUED"]
    (folder / "gate").touch()
    for run_id in runs:
        assert server.ended(run_id).status == DagsterRunStatus.SUCCESS, server.story(run_id)
    wanted = [f"{word} {sha}" for _, sha in pushes for word in ("begin", "end")]
    assert (folder / "log").read_text().splitlines() == wanted, server.said(CONDUCTOR)


def test_a_push_that_cannot_be_fetched_at_once_keeps_its_place(server: ServerProcess) -> None:
    shop, folder = repository(server, "late", cancel=True)
    (folder / "gate").touch()
    before, older, newer = shop.head, shop.change(), shop.change()
    elsewhere = shop.origin.with_name("elsewhere.git")
    shop.origin.rename(elsewhere)
    first = server.send(push(shop.full_name, older, before=before))
    until(lambda: server.waits(first), lambda: f"{first} waits: {server.said(CONDUCTOR)}")
    second = server.send(push(shop.full_name, newer, before=older))
    elsewhere.rename(shop.origin)
    runs = [server.started(delivery) for delivery in (first, second)]
    # The newer one may come while the older one is queued or at work; in its place it never comes.
    assert server.ended(runs[1]).status == DagsterRunStatus.SUCCESS, server.story(runs[1])
    server.ended(runs[0])
    assert (folder / "log").read_text().splitlines()[-1] == f"end {newer}"
    made = server.runs(shop)
    assert [one.run_id for one in made] == runs, server.said(CONDUCTOR)


def test_a_queued_run_that_is_cancelled_stays_so(server: ServerProcess) -> None:
    shop, folder = repository(server, "stays", cancel=False)
    pushes = [(server.push(shop), shop.head) for _ in range(3)]
    runs = [server.started(delivery) for delivery, _ in pushes]
    server.begins(runs[0], "all/wait")
    with server.instance() as instance:
        assert instance.run_coordinator.cancel_run(runs[1])
    (folder / "gate").touch()
    assert server.ended(runs[2]).status == DagsterRunStatus.SUCCESS
    assert server.ended(runs[1]).status == DagsterRunStatus.CANCELED
    assert f"begin {pushes[1][1]}" not in (folder / "log").read_text()
    server.check(pushes[1][1], "cancelled")


def repository(server: ServerProcess, name: str, *, cancel: bool) -> tuple[Repository, Path]:
    """A repository whose runs wait until there is a file ``gate`` in the folder."""
    folder = server.home.folder.parent / f"{name}-steps"
    folder.mkdir()
    workflow = WORKFLOW.replace("CANCEL", str(cancel).lower()).replace("FOLDER", str(folder))
    return server.repository(name, {"maestro.yaml": workflow}), folder
