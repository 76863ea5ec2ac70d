"""Starting a run on a server: found or refused, and never twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from maestro.errors import InputError, MaestroError
from maestro.remote.graphql import GraphQL
from maestro.remote.launch import launch
from maestro.remote.reader import RemoteReader
from maestro.runs.client import LaunchRequest
from tests.unit.graphql_server import DroppedError, Raw, a_run, canned_server

REQUEST = LaunchRequest("shop", "the-flow", "abc", ("build/make", "test/each/a"), params={"who": "me", "size": None})


def location(name: str = "maestro", *, project: str = "shop", job: str = "the_flow") -> dict[str, Any]:
    assets = [
        {"assetKey": {"path": [project, "build", "make"]}, "jobNames": ["__ASSET_JOB", job]},
        {"assetKey": {"path": [project, "test", "each", "a"]}, "jobNames": [job]},
    ]
    repository = {
        "name": "__repository__",
        "jobs": [{"name": job, "tags": [{"key": "maestro/workflow"}]}],
        "assetNodes": assets,
    }
    return {
        "name": name,
        "locationOrLoadError": {"__typename": "RepositoryLocation", "repositories": [repository]},
    }


class Server:
    """A web server with one workflow, whose answers to a launch a test chooses."""

    def __init__(self, launched: Callable[[dict[str, Any]], Any], entries: list[Any] | None = None) -> None:
        self.launched = launched
        self.entries = [location()] if entries is None else entries
        self.runs: list[dict[str, Any]] = []
        self.partition = "AddDynamicPartitionSuccess"

    def answer(self, document: str, variables: dict[str, Any]) -> Any:
        if "query Workspace" in document:
            return {"workspaceOrError": {"__typename": "Workspace", "locationEntries": self.entries}}
        if "mutation AddRevision" in document:
            return {"addDynamicPartition": {"__typename": self.partition, "message": "no"}}
        if "mutation Launch" in document:
            return {"launchRun": self.launched(variables["params"])}
        if "query Runs" in document:
            wanted = variables["filter"]["tags"][0]
            return {
                "runsOrError": {"__typename": "Runs", "results": [one for one in self.runs if wanted in one["tags"]]}
            }
        raise AssertionError(document)

    def launch(self, request: LaunchRequest = REQUEST, look: float = 0.0) -> tuple[str, list[str]]:
        with canned_server(self.answer) as server:
            graphql = GraphQL(server.url)
            run_id = launch(graphql, RemoteReader(graphql, "shop"), request, None, look=look)
            graphql.close()
            return run_id, server.documents()


def success(params: dict[str, Any]) -> dict[str, Any]:
    return {"__typename": "LaunchRunSuccess", "run": {"runId": "the-run"}}


def test_a_run_is_started_with_its_selection_parameters_and_tags() -> None:
    asked: list[dict[str, Any]] = []

    def launched(params: dict[str, Any]) -> Any:
        asked.append(params)
        return success(params)

    run_id, documents = Server(launched).launch()
    assert run_id == "the-run"
    assert documents == ["Workspace", "AddRevision", "Launch"]
    assert asked[0]["selector"] == {
        "repositoryLocationName": "maestro",
        "repositoryName": "__repository__",
        "jobName": "the_flow",
        "assetSelection": [{"path": ["shop", "build", "make"]}, {"path": ["shop", "test", "each", "a"]}],
    }
    assert asked[0]["runConfigData"] == {"resources": {"params": {"config": {"who": "me"}}}}
    tags = {one["key"]: one["value"] for one in asked[0]["executionMetadata"]["tags"]}
    assert tags["dagster/partition"] == "abc"
    assert tags["maestro/planned"] == "true"
    assert json.loads(tags["maestro/params"]) == {"who": "me", "size": None}
    assert tags["maestro/launch"]


def test_a_revision_that_is_a_partition_already_is_no_error() -> None:
    server = Server(success)
    server.partition = "DuplicateDynamicPartitionError"
    assert server.launch()[0] == "the-run"
    server.partition = "UnauthorizedError"
    with pytest.raises(MaestroError, match="does not allow this: no"):
        server.launch()


def test_a_launch_whose_answer_got_lost_is_found_and_not_repeated() -> None:
    def launched(params: dict[str, Any]) -> Any:
        server.runs.append(a_run("found-again", tags=params["executionMetadata"]["tags"]))
        raise DroppedError

    server = Server(launched)
    run_id, documents = server.launch()
    assert run_id == "found-again"
    assert documents.count("Launch") == 1


@pytest.mark.parametrize("answer", [DroppedError, Raw(502)])
def test_a_launch_that_left_no_run_behind_says_so_and_is_not_repeated(answer: Any) -> None:
    asked: list[dict[str, Any]] = []

    class Failing(Server):
        def answer(self, document: str, variables: dict[str, Any]) -> Any:
            if "mutation Launch" not in document:
                return super().answer(document, variables)
            asked.append(variables)
            if answer is DroppedError:
                raise DroppedError
            return answer

    with pytest.raises(MaestroError, match="no run was started as far as the server tells") as raised:
        Failing(success).launch()
    assert raised.value.next_step is not None
    assert "maestro status --remote" in raised.value.next_step
    assert len(asked) == 1


def test_uncommitted_changes_are_refused_before_the_server_is_asked() -> None:
    graphql = GraphQL("http://127.0.0.1:1")
    request = LaunchRequest("shop", "the-flow", "worktree-0123456789abcdef", ("build/make",))
    with pytest.raises(InputError, match="the server cannot see uncommitted changes") as raised:
        launch(graphql, RemoteReader(graphql, "shop"), request, None)
    assert raised.value.next_step == "commit and push them first, or run here without --remote"
    graphql.close()


def test_a_workflow_that_is_not_there_names_those_that_are() -> None:
    server = Server(success, [location(project="other"), location(job="nightly")])
    with pytest.raises(
        InputError, match="has no workflow 'the-flow' of project 'shop'; it has: nightly of shop, the_f"
    ):
        server.launch()
    with pytest.raises(InputError, match="it has: none"):
        Server(success, []).launch()


def test_a_code_location_that_does_not_load_is_named_with_its_reason() -> None:
    broken = {"name": "maestro", "locationOrLoadError": {"__typename": "PythonError", "message": "bad yaml\nstack"}}
    with pytest.raises(MaestroError, match="code location 'maestro' could not be loaded: bad yaml\n"):
        Server(success, [broken]).launch()
    loading = {"name": "slow", "locationOrLoadError": None}
    with pytest.raises(MaestroError, match="code location 'slow' could not be loaded: it is still loading"):
        Server(success, [loading]).launch()


def test_a_workflow_in_two_code_locations_is_ambiguous() -> None:
    with pytest.raises(InputError, match="in several code locations: left, right"):
        Server(success, [location("right"), location("left")]).launch()


def test_steps_the_server_does_not_know_are_named() -> None:
    request = LaunchRequest("shop", "the-flow", "abc", ("build/make", "build/new"))
    with pytest.raises(InputError, match="it has no step build/new"):
        Server(success).launch(request)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("InvalidSubsetError", "has not loaded this workflow as it is here: why"),
        ("PipelineNotFoundError", "has not loaded this workflow as it is here: why"),
        ("UnauthorizedError", "does not allow this: why"),
        ("PythonError", "failed: why"),
        ("RunConflict", "refused: why"),
    ],
)
def test_what_dagster_refuses_is_told_with_what_to_do(kind: str, what: str) -> None:
    with pytest.raises(MaestroError, match=what) as raised:
        Server(lambda _: {"__typename": kind, "message": "why\nmore"}).launch()
    assert raised.value.next_step


def test_parameters_the_server_does_not_take_are_told_one_by_one() -> None:
    errors = [{"message": "first\nstack", "path": []}, {"message": "second", "path": []}]
    with pytest.raises(InputError, match="does not take these parameters: first; second\n"):
        Server(lambda _: {"__typename": "RunConfigValidationInvalid", "errors": errors}).launch()
