"""Runs of a real Dagster web server: launched, followed, cancelled, resumed; the same views as on the machine itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from maestro.errors import InputError, MaestroError
from maestro.profile import load_profile
from maestro.remote import RemoteRuns
from maestro.runs.client import LaunchRequest, News
from maestro.runs.process import process_of
from maestro.runs.resume import unfinished
from maestro.runs.tags import PROCESS_TAG
from maestro.runs.view import RunView
from maestro_defs.local_runs import LocalRuns
from tests.integration import many_outcomes
from tests.integration.delivery import Delivery
from tests.integration.foreground import foreground_run
from tests.integration.many_outcomes import wait_for
from tests.integration.web_server import WebServer, web_server

EVERY_STEP = (
    "build/make",
    "build/send",
    "test/lint",
    "test/flaky",
    "test/each/a",
    "test/each/b",
    "test/waits",
    "gate/flag",
    "finally/bye",
)


@dataclass(frozen=True)
class Served:
    """A project behind a web server, seen from both sides."""

    delivery: Delivery
    server: WebServer
    revision: str
    remote: RemoteRuns
    local: LocalRuns

    def launch(self, *steps: str, revision: str | None = None, resumes: str | None = None, **params: Any) -> str:
        selection = steps or EVERY_STEP
        request = LaunchRequest(
            "shop", "many-outcomes", revision or self.revision, selection, params=params, resumes=resumes
        )
        return self.remote.launch(request)

    def ended(self, run_id: str) -> RunView:
        last = list(self.remote.follow(run_id, logs=False))[-1].run
        assert last is not None
        assert last == self.local.get(run_id)
        return last

    def post(self, document: str, **variables: Any) -> Any:
        answer = httpx.post(
            f"{self.server.url}/graphql", json={"query": document, "variables": variables}, timeout=60
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def process(self, run_id: str) -> psutil.Process:
        run = self.local.instance.get_run_by_id(run_id)
        assert run is not None
        found = process_of(run.tags[PROCESS_TAG])
        assert found is not None
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    root = folder / "shop"
    root.mkdir()
    delivery = Delivery(root, load_profile("default"))
    delivery.git("init", "-q", "-b", "main")
    revision = many_outcomes.make(delivery)
    with (
        web_server(delivery, folder) as server,
        RemoteRuns(server.url, "shop", environ={}) as remote,
        LocalRuns(delivery.project, delivery.profile) as local,
    ):
        yield Served(delivery, server, revision, remote, local)


def states_of(view: RunView) -> dict[str, str]:
    return {step.step: step.state for step in view.steps}


def seen_until(news: Iterator[News], text: str) -> None:
    assert any(one.text == text for one in news), "the run ended before"


def test_a_launched_run_is_followed_live_and_looks_the_same_from_both_sides(served: Served, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run_id = served.launch(gate=str(gate), who="server")
    seen: list[News] = []
    for news in served.remote.follow(run_id):
        seen.append(news)
        if news.text == "before":
            assert states_of(served.remote.get(run_id))["test/waits"] == "running"
            assert served.remote.get(run_id) == served.local.get(run_id)
            gate.touch()
    view = served.remote.get(run_id)
    assert seen[-1].run == view == served.local.get(run_id)
    assert view.state == "succeeded"
    assert view.params == {"gate": str(gate), "who": "server"}
    assert view.revision == served.revision
    states = states_of(view)
    assert set(states) == set(EVERY_STEP)
    assert (states["test/lint"], states["test/flaky"], states["build/send"]) == ("warned", "passed", "passed")
    lines = [(one.step.step, one.text) for one in seen if one.step and one.text is not None]
    assert ("build/make", "hello server") in lines
    assert ("test/each/a", "letter a é") in lines
    assert [text for step, text in lines if step == "test/waits"] == ["before", "half and half", "after"]
    assert [text for step, text in lines if step == "test/flaky"] == ["try 1", "try 2"]
    told = [one.step.state for one in seen if one.step and one.step.step == "test/flaky" and one.text is None]
    assert told == ["waiting", "running", "retrying", "running", "passed"]
    assert b"".join(served.remote.log(run_id, "test/each/a")) == b"".join(served.local.log(run_id, "test/each/a"))
    assert b"".join(served.remote.log(run_id, "waits")) == b"before\nhalf and half\nafter\n"
    assert not (served.delivery.root / "dist").exists(), "a launched run works in a checkout of its own"
    assert list((served.delivery.project.home / "worktrees").iterdir()) == []


def test_a_failed_run_is_resumed_with_what_it_left_to_do(served: Served, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    first = served.ended(served.launch(flag=str(flag)))
    assert first.state == "failed"
    assert first.compensations == ("step build/send undone",)
    assert states_of(first)["gate/flag"] == "failed"
    left = unfinished(first)
    assert set(left) == {"build/send", "gate/flag", "finally/bye"}
    flag.touch()
    second = served.ended(served.launch(*left, resumes=first.run_id[:9], flag=str(flag)))
    assert (second.state, second.resumes) == ("succeeded", first.run_id)
    run = served.local.instance.get_run_by_id(second.run_id)
    assert run is not None
    assert (run.parent_run_id, run.root_run_id) == (first.run_id, first.run_id)


def test_cancel_ends_the_process_group_undoes_and_waits(served: Served, tmp_path: Path) -> None:
    run_id = served.launch(gate=str(tmp_path / "never"))
    seen_until(served.remote.follow(run_id), "before")
    process = served.process(run_id)
    family = [process, *process.children(recursive=True)]
    view = served.remote.cancel(run_id)
    assert view.state == "cancelled"
    assert view == served.local.get(run_id)
    assert view.compensations == ("step build/send undone",)
    assert states_of(view)["finally/bye"] == "passed"
    _gone, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    with pytest.raises(InputError, match="has already ended: it was cancelled"):
        served.remote.cancel(run_id)


def test_a_launched_run_can_be_cancelled_from_its_machine_too(served: Served, tmp_path: Path) -> None:
    run_id = served.launch(gate=str(tmp_path / "never"))
    seen_until(served.local.follow(run_id), "before")
    assert served.local.cancel(run_id).state == "cancelled"


def test_a_launched_run_whose_process_was_killed_has_failed(served: Served, tmp_path: Path) -> None:
    run_id = served.launch(gate=str(tmp_path / "never"))
    following = served.remote.follow(run_id)
    seen_until(following, "before")
    served.process(run_id).kill()
    last = list(following)[-1].run
    assert last is not None
    assert last.state == "failed"
    assert last.error is not None
    assert last.error.startswith("its process ended without a word")
    assert last == served.local.get(run_id)


def test_a_revision_the_server_does_not_have_fails_the_run_and_says_so(served: Served) -> None:
    view = served.ended(served.launch(revision="0" * 40))
    assert view.state == "failed"
    assert view.error is not None
    assert f"there is no revision '{'0' * 40}'" in view.error


def test_a_run_made_by_hand_in_the_ui_asks_its_conditions_itself(served: Served) -> None:
    answer = served.post(
        "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) "
        "{ __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }",
        p={
            "selector": {
                "repositoryLocationName": "maestro",
                "repositoryName": "__repository__",
                "jobName": "many_outcomes",
            },
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": served.revision}]},
        },
    )["launchRun"]
    view = served.ended(answer["run"]["runId"])
    assert (view.state, view.project, view.workflow) == ("succeeded", "shop", "many-outcomes")
    ship = next(step for step in view.steps if step.step == "deploy/ship")
    assert ship.state == "skipped"
    assert "params.deploy" in ship.summary


def test_one_step_materialized_by_hand_is_a_run_of_the_project(served: Served) -> None:
    answer = served.post(
        "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) "
        "{ __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }",
        p={
            "selector": {
                "repositoryLocationName": "maestro",
                "repositoryName": "__repository__",
                "jobName": "__ASSET_JOB",
                "assetSelection": [{"path": ["shop", "test", "each", "b"]}],
            },
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": served.revision}]},
        },
    )["launchRun"]
    view = served.ended(answer["run"]["runId"])
    assert (view.state, view.project, view.workflow) == ("succeeded", "shop", "many-outcomes")
    assert set(states_of(view)) == {"test/each/b"}
    assert served.remote.list(1)[0].run_id == view.run_id


def test_runs_of_the_machine_look_the_same_through_the_server(served: Served, tmp_path: Path) -> None:
    served.delivery.run(flag=str(tmp_path / "flag"))
    served.delivery.run(deploy=True)
    here = served.local.list(20)
    assert served.remote.list(20) == here
    for run in here:
        assert served.remote.get(run.run_id) == served.local.get(run.run_id)
    assert states_of(served.remote.get("latest"))["deploy/ship"] == "passed"


def test_a_run_in_the_foreground_is_not_cancelled_through_the_server_unless_by_force(
    served: Served, tmp_path: Path
) -> None:
    known = {run.run_id for run in served.local.list(50)}
    with foreground_run(served.delivery, gate=str(tmp_path / "never")) as process:
        wait_for(lambda: {run.run_id for run in served.local.list(50)} - known)
        run_id = served.remote.list(1)[0].run_id
        seen_until(served.remote.follow(run_id), "before")
        with pytest.raises(MaestroError, match="was not started by") as refused:
            served.remote.cancel(run_id)
        assert refused.value.next_step is not None
        assert "--force" in refused.value.next_step
        assert served.remote.cancel(run_id, force=True).state == "cancelled"
        process.wait(30)


def test_a_launch_the_server_cannot_carry_out_is_refused_with_what_is_there(served: Served) -> None:
    with pytest.raises(InputError, match="cannot see uncommitted changes"):
        served.launch(revision="worktree-0123456789abcdef")
    with pytest.raises(InputError, match="it has no step test/new"):
        served.launch("build/make", "test/new")
    with pytest.raises(InputError, match="there is nothing to run"):
        served.remote.launch(LaunchRequest("shop", "many-outcomes", served.revision, []))
    with pytest.raises(InputError, match="has no workflow 'other' of project 'shop'; it has: many_outcomes of shop"):
        served.remote.launch(LaunchRequest("shop", "other", served.revision, ["build/make"]))
    with pytest.raises(InputError, match=r"does not take these parameters: .*size"):
        served.launch("build/make", size=3)
    with pytest.raises(InputError, match="there is no run 'zzz'"):
        served.remote.get("zzz")
    with pytest.raises(InputError, match="there is no run '00000000-0000-0000-0000-000000000000'"):
        served.remote.get("00000000-0000-0000-0000-000000000000")


def test_the_ui_is_told_of_what_a_run_writes_while_it_runs(served: Served, tmp_path: Path) -> None:
    run_id = served.launch(gate=str(tmp_path / "never"))
    query = (
        "subscription($id: ID!) { pipelineRunLogs(runId: $id) { ... on PipelineRunLogsSubscriptionSuccess "
        "{ messages { ... on MessageEvent { stepKey eventType } } } } }"
    )
    with connect(served.server.url.replace("http", "ws") + "/graphql", subprotocols=[Subprotocol("graphql-ws")]) as ui:
        ui.send(json.dumps({"type": "connection_init", "payload": {}}))
        ui.send(json.dumps({"id": "1", "type": "start", "payload": {"query": query, "variables": {"id": run_id}}}))
        while True:
            message = json.loads(ui.recv(60))
            told = message["payload"]["data"]["pipelineRunLogs"]["messages"] if message["type"] == "data" else []
            if any((one["stepKey"], one["eventType"]) == ("test__waits", "STEP_START") for one in told):
                break
    assert served.remote.cancel(run_id).state == "cancelled"


def test_a_project_without_runs_has_none(served: Served) -> None:
    with RemoteRuns(served.server.url, "nothing", environ={}) as empty:
        assert empty.list(10) == []
        with pytest.raises(InputError, match="there is no run yet"):
            empty.get("latest")
