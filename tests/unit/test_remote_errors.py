"""What a person reads when the server cannot be used."""

from __future__ import annotations

import json
import socket

import httpx
import pytest

from maestro.errors import InputError, MaestroError
from maestro.remote import RemoteRuns
from maestro.remote.errors import of_transport
from tests.unit.graphql_server import DroppedError, Raw, a_run, canned_server


def refusal(answer: object) -> MaestroError:
    """How reading the runs ends at a server that always gives this answer."""
    with (
        canned_server(lambda _document, _variables: answer) as server,
        RemoteRuns(server.url, "shop", token="hush-hush", environ={}) as runs,
    ):
        with pytest.raises(MaestroError) as raised:
            runs.list(5)
        assert "hush-hush" not in str(raised.value)
        assert raised.value.next_step
        return raised.value


@pytest.mark.parametrize(
    ("status", "what", "next_step"),
    [
        (401, "wants to know who you are (401)", "MAESTRO_TOKEN"),
        (403, "does not allow this (403)", "role"),
        (404, "has no Dagster GraphQL (404)", "address"),
        (418, "refused the request (418)", "log"),
        (500, "failed (500)", "log"),
        (503, "is not available (503)", "again"),
    ],
)
def test_an_http_error_says_what_to_do(status: int, what: str, next_step: str) -> None:
    error = refusal(Raw(status))
    assert what in error.what
    assert error.next_step is not None
    assert next_step in error.next_step


def test_a_redirect_names_where_it_leads_and_the_token() -> None:
    error = refusal(Raw(302, headers={"location": "https://login.example.com/"}))
    assert "redirects to https://login.example.com/ (302)" in error.what
    assert error.next_step is not None
    assert "MAESTRO_TOKEN" in error.next_step


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b'{"data": 3}', b'{"data": {}}', b"\xff"])
def test_another_web_page_is_not_taken_for_a_dagster_server(body: bytes) -> None:
    assert "answers, but not like a Dagster web server" in refusal(Raw(200, body)).what


def test_a_document_the_server_does_not_know_names_the_version_it_should_have() -> None:
    problems = {"errors": [{"message": "Cannot query field 'x' on type 'Run'."}]}
    error = refusal(Raw(400, json.dumps(problems).encode()))
    assert "does not understand the request: Cannot query field 'x'" in error.what
    assert error.next_step is not None
    assert "Dagster 1.13" in error.next_step


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("UnauthorizedError", "does not allow this: because"),
        ("PythonError", "failed: because"),
        ("InvalidPipelineRunsFilterError", "refused: because"),
    ],
)
def test_dagsters_own_errors_are_passed_on_in_one_line(kind: str, what: str) -> None:
    error = refusal({"runsOrError": {"__typename": kind, "message": "because\n  File x, line 3"}})
    assert what in error.what
    assert "line 3" not in error.what


def test_a_server_that_is_not_there_says_so_without_user_and_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            RemoteRuns(f"http://me:secret@{address}/", "shop", environ={}) as runs,
            pytest.raises(MaestroError, match=f"no connection to http://{address}: ") as raised,
        ):
            runs.list(1)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:99999", "http://me:secret@:3000", "http://[::1"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(InputError, match="is no http or https address") as raised:
        RemoteRuns(url, "shop", environ={})
    assert "secret" not in str(raised.value)


def test_the_scheme_and_the_path_of_the_address_may_be_left_out() -> None:
    with RemoteRuns("host:3000/graphql", "shop", environ={}) as runs:
        assert runs.server == "http://host:3000"


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"), "the certificate of"),
        (httpx.ConnectTimeout("slow"), "does not answer"),
        (httpx.ReadTimeout("slow"), "took too long to answer"),
        (httpx.ReadError("reset"), "the connection to https://host broke: reset"),
        (httpx.ProxyError("407"), "no connection to https://host: 407"),
        (httpx.UnsupportedProtocol("ws"), "is no http or https address"),
    ],
)
def test_every_way_to_miss_the_server_has_its_words(error: httpx.TransportError, what: str) -> None:
    found = of_transport(error, "https://host")
    assert what in found.what
    assert found.next_step


def test_the_token_is_sent_as_a_bearer_token() -> None:
    with (
        canned_server(lambda *_: {"runsOrError": {"__typename": "Runs", "results": []}}) as server,
        RemoteRuns(server.url, "shop", environ={"MAESTRO_TOKEN": "from-environment"}) as runs,
    ):
        assert runs.list(3) == []
        assert server.headers[0]["Authorization"] == "Bearer from-environment"


def test_reading_goes_on_after_a_moment_without_the_server() -> None:
    answers = iter(["there", "dropped", "starting", "there"])

    def answer(_document: str, _variables: object) -> object:
        match next(answers):
            case "dropped":
                raise DroppedError
            case "starting":
                return Raw(503)
            case _:
                return {"runOrError": a_run()}

    with canned_server(answer) as server, RemoteRuns(server.url, "shop", environ={}) as runs:
        reader = runs._reader
        assert reader.record("1234567890") == reader.record("1234567890")
        assert len(server.asked) == 4


def test_a_run_that_is_not_there_is_bad_input() -> None:
    missing = {"runOrError": {"__typename": "RunNotFoundError", "message": "gone"}}
    with (
        canned_server(lambda *_: missing) as server,
        RemoteRuns(server.url, "shop", environ={}) as runs,
        pytest.raises(InputError, match=r"there is no run '1{36}'"),
    ):
        runs.get("1" * 36)
