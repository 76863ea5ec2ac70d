"""Whatever is sent, the gateway answers with something else than 500, and lives on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.gateway_server import PUSH, GatewayServer, gateway_server, github, gitlab, make_home

EXAMPLES = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
# Each that is refused waits for the secrets to be read again.
FEW = settings(EXAMPLES, max_examples=50)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40).map(
    lambda text: text.strip()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ABOUT = st.sampled_from(["repository", "project"])
PAYLOAD = st.dictionaries(ABOUT, st.dictionaries(st.sampled_from(["full_name", "path_with_namespace"]), JSON) | JSON)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "content-type",
            "content-encoding",
            "x-github-event",
            "x-github-delivery",
            "x-github-hook-id",
            "x-hub-signature-256",
            "x-gitlab-event",
            "x-gitlab-token",
            "x-gitlab-event-uuid",
            "idempotency-key",
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "traceparent",
        ]
    ),
    VALUE | st.sampled_from(["v1,", "v1,AAAA", "v1,=", "0", "9" * 30, "²", "application/json;charset", "sha256="]),
)
PATHS = st.sampled_from(["/hooks/github", "/hooks/gitlab"]).flatmap(
    lambda path: (
        st.just(path) | st.sampled_from(["shop", "depot", "%00", "..%2f", "é"]).map(lambda name: f"{path}/{name}")
    )
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayServer]:
    folder = tmp_path_factory.mktemp("fuzz")
    with gateway_server(make_home(folder / "home"), folder / "log") as server:
        yield server
        assert "Traceback" not in server.said()
        assert server.stop() == 0


def send(gateway: GatewayServer, path: str, body: bytes, headers: dict[str, str]) -> int:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    return gateway.client.post(path, content=body, headers=encoded).status_code


@EXAMPLES
@given(path=PATHS, body=st.binary(max_size=200), headers=HEADERS)
def test_any_headers_and_body(gateway: GatewayServer, path: str, body: bytes, headers: dict[str, str]) -> None:
    assert send(gateway, path, body, headers) < 500


@EXAMPLES
@given(changed=HEADERS, path=PATHS)
def test_any_headers_around_a_good_one(gateway: GatewayServer, path: str, changed: dict[str, str]) -> None:
    headers = github(PUSH, "fuzz") if "github" in path else gitlab("fuzz")
    assert send(gateway, path, PUSH, headers | changed) < 500


@FEW
@given(payload=PAYLOAD | JSON, number=st.integers(0, 10**9))
def test_any_json_that_is_signed(gateway: GatewayServer, payload: object, number: int) -> None:
    body = json.dumps(payload).encode()
    for path in ("/hooks/github", "/hooks/github/shop"):
        assert send(gateway, path, body, github(body, f"json-{number}")) < 500
    assert send(gateway, "/hooks/gitlab/depot", body, gitlab(f"json-{number}")) < 500


@EXAMPLES
@given(body=st.binary(max_size=200), form=st.booleans())
def test_any_bytes_that_are_signed(gateway: GatewayServer, body: bytes, form: bool) -> None:
    body = (b"payload=" if form else b"") + body
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    assert send(gateway, "/hooks/github/shop", body, github(body, "bytes") | {"content-type": kind}) < 500


@EXAMPLES
@given(sent=st.binary(max_size=300), begun=st.booleans())
def test_any_bytes_on_the_connection(gateway: GatewayServer, sent: bytes, begun: bool) -> None:
    start = b"POST /hooks/github HTTP/1.1\r\ntransfer-encoding: chunked\r\n" if begun else b""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as sender:
        sender.sendall(start + sent)
        sender.shutdown(socket.SHUT_WR)
        try:
            answer = sender.recv(64)
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 5")
    assert gateway.client.get("/healthz").is_success
