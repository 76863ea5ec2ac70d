"""The gateway's answers: what it takes, what it refuses and how, on both databases."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from maestro.inbox import Delivery
from tests.integration.gateway_server import (
    APP_SECRET,
    GITLAB_PUSH,
    PUSH,
    SHOP_SECRET,
    GatewayServer,
    gateway_server,
    github,
    gitlab,
    gitlab_signed,
    make_home,
    secret_file,
    until,
)
from tests.integration.postgres_server import postgres_database


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayServer]:
    folder = tmp_path_factory.mktemp("gateway")
    with ExitStack() as stack:
        postgres = request.param == "postgresql"
        server = request.getfixturevalue("postgres_url") if postgres else None
        # Of its own: a module's fixture is made again when its tests are spread over time.
        database = stack.enter_context(postgres_database(server)) if server else None
        yield stack.enter_context(gateway_server(make_home(folder / "home", database), folder / "log"))


def kept(gateway: GatewayServer, provider: str, delivery: str) -> Delivery | None:
    inbox = gateway.inbox()
    try:
        return inbox.find(provider, delivery)
    finally:
        inbox.close()


@pytest.mark.parametrize("path", ["/hooks/github", "/hooks/github/shop"])
@pytest.mark.parametrize("secret", [SHOP_SECRET, APP_SECRET])
def test_a_signed_webhook_is_kept_byte_for_byte_for_its_project(gateway: GatewayServer, path: str, secret: str) -> None:
    name = f"taken{path}{secret}".replace("/", ".").replace("'", "")
    answer = gateway.post(path, PUSH, github(PUSH, name, secret))
    assert answer.status_code == 202
    found = kept(gateway, "github", name)
    assert found is not None
    assert found.id == answer.json()["id"]
    assert (found.body, found.event, found.project) == (PUSH, "push", "shop")
    assert found.headers["content-type"] == "application/json"


def test_what_is_kept_holds_no_signature_and_no_token(gateway: GatewayServer) -> None:
    gateway.post("/hooks/github", PUSH, github(PUSH, "headers") | {"authorization": "Bearer hush", "cookie": "a=hush"})
    gateway.post("/hooks/gitlab", GITLAB_PUSH, gitlab("headers"))
    for provider in ("github", "gitlab"):
        found = kept(gateway, provider, "headers")
        assert found is not None
        assert not {"x-hub-signature-256", "x-gitlab-token", "authorization", "cookie"} & set(found.headers)


def test_a_form_as_github_sends_it_is_kept_and_gives_its_payload(gateway: GatewayServer) -> None:
    body = b"payload=" + quote(PUSH).encode()
    form = "application/x-www-form-urlencoded"
    answer = gateway.post("/hooks/github", body, github(body, "form") | {"content-type": form})
    assert answer.status_code == 202
    found = kept(gateway, "github", "form")
    assert found is not None
    assert (found.body, found.payload, found.project) == (body, PUSH, "shop")


def test_a_ping_is_kept(gateway: GatewayServer) -> None:
    body = b'{"zen": "Design for failure.", "hook_id": 1}'
    assert gateway.post("/hooks/github/shop", body, github(body, "ping", event="ping")).status_code == 202


def test_a_repository_nobody_delivers_is_kept_when_the_common_secret_signed_it(gateway: GatewayServer) -> None:
    body = b'{"repository": {"full_name": "acme/other"}}'
    assert gateway.post("/hooks/github", body, github(body, "other", APP_SECRET)).status_code == 202
    found = kept(gateway, "github", "other")
    assert found is not None
    assert found.project == ""


def test_a_repeat_is_answered_as_such_and_kept_once(gateway: GatewayServer) -> None:
    headers = github(PUSH, "repeated")
    first, second = (gateway.post("/hooks/github", PUSH, headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    assert second.json()["outcome"] == "duplicate"


def test_the_same_id_with_another_body_is_refused(gateway: GatewayServer) -> None:
    other = PUSH + b" "
    gateway.post("/hooks/github", PUSH, github(PUSH, "conflict"))
    answer = gateway.post("/hooks/github", other, github(other, "conflict"))
    assert answer.status_code == 409
    assert "another body" in answer.json()["error"]
    found = kept(gateway, "github", "conflict")
    assert found is not None
    assert found.body == PUSH


def test_a_second_webhook_that_tells_of_the_same_event_is_a_repeat(gateway: GatewayServer) -> None:
    other = json.dumps(json.loads(PUSH) | {"installation": {"id": 7}}).encode()
    gateway.post("/hooks/github", PUSH, github(PUSH, "two-hooks"))
    answer = gateway.post("/hooks/github", other, github(other, "two-hooks", APP_SECRET) | {"x-github-hook-id": "2"})
    assert (answer.status_code, answer.json()["outcome"]) == (200, "duplicate")


def test_the_senders_trace_goes_on_and_else_one_begins(gateway: GatewayServer) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    gateway.post("/hooks/github", PUSH, github(PUSH, "traced") | {"traceparent": trace})
    gateway.post("/hooks/github", PUSH, github(PUSH, "untraced") | {"traceparent": "00-nonsense"})
    found, made = kept(gateway, "github", "traced"), kept(gateway, "github", "untraced")
    assert found is not None
    assert made is not None
    assert found.trace == trace
    assert made.trace.startswith("00-")
    assert len(made.trace) == len(trace)


@pytest.mark.parametrize("path", ["/hooks/gitlab", "/hooks/gitlab/depot"])
def test_gitlab_is_believed_by_token_and_by_signature(gateway: GatewayServer, path: str) -> None:
    name = path.replace("/", ".")[1:]
    assert gateway.post(path, GITLAB_PUSH, gitlab(f"token{name}")).status_code == 202
    signed = gitlab_signed(GITLAB_PUSH, f"signed{name}", time.time())
    assert gateway.post(path, GITLAB_PUSH, signed).status_code == 202
    found = kept(gateway, "gitlab", f"signed{name}")
    assert found is not None
    assert (found.project, found.event) == ("depot", "Push Hook")


BROKEN = b"{"
LATIN = '{"repository": {"full_name": "acme/shop"}, "x": "é"}'.encode("latin-1")
ELSEWHERE = b'{"repository": {"full_name": "acme/bare"}}'
LONG = b'"' + b"x" * 1_000_001 + b'"'
NAN = b'{"x": NaN}'
REFUSED = {
    "forged": ("/hooks/github", PUSH, github(PUSH, "a", "guessed"), 401, "no secret known here"),
    "of another body": ("/hooks/github", PUSH + b" ", github(PUSH, "a"), 401, "no secret known here"),
    "truncated": ("/hooks/github", PUSH[:-1], github(PUSH, "a"), 401, "no secret known here"),
    "no text in the signature": (
        "/hooks/github",
        PUSH,
        github(PUSH, "a") | {"x-hub-signature-256": "sha256=é"},
        401,
        "no SHA-256 signature",
    ),
    "project not there": ("/hooks/github/nothing", PUSH, github(PUSH, "a"), 401, "no secret known here"),
    "project of the other provider": ("/hooks/github/depot", PUSH, github(PUSH, "a"), 401, "no secret known here"),
    "signed with another project's secret": ("/hooks/github/bare", PUSH, github(PUSH, "a"), 401, "no secret known"),
    "no secret set": ("/hooks/github", ELSEWHERE, github(ELSEWHERE, "a", ""), 401, "no secret known here"),
    "about another repository": (
        "/hooks/github/shop",
        ELSEWHERE,
        github(ELSEWHERE, "a"),
        403,
        "a repository this project does not deliver",
    ),
    "not JSON": ("/hooks/github/shop", BROKEN, github(BROKEN, "a"), 400, "not JSON"),
    "not a number": ("/hooks/github/shop", NAN, github(NAN, "a"), 400, "not JSON"),
    "no object": ("/hooks/github/shop", b"[]", github(b"[]", "a"), 400, "not a JSON object"),
    "empty": ("/hooks/github/shop", b"", github(b"", "a"), 400, "not JSON"),
    "deep": ("/hooks/github/shop", b"[" * 200_000, github(b"[" * 200_000, "a"), 400, "not JSON"),
    "not UTF-8": ("/hooks/github/shop", LATIN, github(LATIN, "a"), 400, "not JSON in UTF-8"),
    "a form without payload": (
        "/hooks/github/shop",
        b"a=b",
        github(b"a=b", "a") | {"content-type": "application/x-www-form-urlencoded"},
        400,
        "not JSON",
    ),
    "other type": ("/hooks/github", PUSH, github(PUSH, "a") | {"content-type": "text/plain"}, 415, "neither JSON nor"),
    "other charset": (
        "/hooks/github",
        PUSH,
        github(PUSH, "a") | {"content-type": "application/json; charset=utf-16"},
        415,
        "not in UTF-8",
    ),
    "compressed": ("/hooks/github", PUSH, github(PUSH, "a") | {"content-encoding": "gzip"}, 415, "compressed"),
    "too long": ("/hooks/github", LONG, github(LONG, "a"), 413, "longer than 1000000 bytes"),
    "an id that is no name": (
        "/hooks/github",
        PUSH,
        github(PUSH, "a") | {"x-github-delivery": "a\tb"},
        400,
        "x-github-delivery is not a name",
    ),
    "gitlab, wrong token": ("/hooks/gitlab", GITLAB_PUSH, gitlab("a", "guessed"), 401, "no secret known here"),
    "gitlab, empty token": ("/hooks/gitlab", GITLAB_PUSH, gitlab("a", ""), 401, "no secret known here"),
    "gitlab, wrong key": (
        "/hooks/gitlab",
        GITLAB_PUSH,
        gitlab_signed(GITLAB_PUSH, "a", time.time(), b"guessed"),
        401,
        "no secret known here",
    ),
    "gitlab, old signature": (
        "/hooks/gitlab",
        GITLAB_PUSH,
        gitlab_signed(GITLAB_PUSH, "a", time.time() - 400),
        401,
        "signed more than 300 seconds from now",
    ),
    "gitlab, signature of the future": (
        "/hooks/gitlab",
        GITLAB_PUSH,
        gitlab_signed(GITLAB_PUSH, "a", time.time() + 4000),
        401,
        "signed more than 300 seconds from now",
    ),
    "gitlab, right token beside a wrong signature": (
        "/hooks/gitlab",
        GITLAB_PUSH,
        gitlab("a") | gitlab_signed(GITLAB_PUSH, "a", time.time(), b"guessed"),
        401,
        "no secret known here",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_refused_and_not_kept(gateway: GatewayServer, what: str) -> None:
    path, body, headers, status, message = REFUSED[what]
    inbox = gateway.inbox()
    before = inbox.newest()
    encoded = {name: value.encode("utf-8") for name, value in headers.items()}
    answer = gateway.client.post(path, content=body, headers=encoded)
    assert answer.status_code == status, answer.text
    assert message in answer.json()["error"]
    assert inbox.newest() == before
    inbox.close()


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [
        ("/hooks/github", "x-hub-signature-256", 401),
        ("/hooks/github", "x-github-delivery", 400),
        ("/hooks/github", "x-github-event", 400),
        ("/hooks/github", "content-type", 415),
        ("/hooks/gitlab", "x-gitlab-token", 401),
        ("/hooks/gitlab", "x-gitlab-event", 400),
        ("/hooks/gitlab", "idempotency-key", 400),
    ],
)
def test_a_missing_header_is_refused(gateway: GatewayServer, path: str, header: str, status: int) -> None:
    headers = github(PUSH, "missing") if "github" in path else gitlab("missing")
    del headers[header]
    assert gateway.post(path, PUSH, headers).status_code == status


def test_a_header_sent_twice_is_refused(gateway: GatewayServer) -> None:
    headers = [*github(PUSH, "twice").items(), ("x-github-delivery", "other")]
    answer = gateway.client.post("/hooks/github", content=PUSH, headers=headers)
    assert answer.status_code == 400
    assert "was sent 2 times" in answer.json()["error"]


def test_other_methods_and_paths_are_refused(gateway: GatewayServer) -> None:
    assert gateway.client.get("/hooks/github").status_code == 405
    assert gateway.client.post("/hooks/gitea").status_code == 404


def test_a_body_in_chunks_is_counted(gateway: GatewayServer) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 64_000

    answer = gateway.client.post("/hooks/github", content=chunks(), headers=github(b"", "chunks"))
    assert answer.status_code == 413
    small = gateway.client.post("/hooks/github", content=iter([PUSH[:5], PUSH[5:]]), headers=github(PUSH, "in-two"))
    assert small.status_code == 202


def test_a_body_shorter_than_it_says_is_not_kept(gateway: GatewayServer) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in github(PUSH, "cut-off").items())
    with socket.create_connection(("127.0.0.1", gateway.port)) as sender:
        sender.sendall(f"POST /hooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: {len(PUSH)}\r\n{head}\r\n".encode())
        sender.sendall(PUSH[:-1])
    assert gateway.client.get("/healthz").is_success
    assert kept(gateway, "github", "cut-off") is None


def test_headers_without_end_are_ended(gateway: GatewayServer) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as sender:
        sender.sendall(b"POST /hooks/github HTTP/1.1\r\nx: ")
        with pytest.raises(OSError):  # A broken pipe or a reset, as the kernel likes.
            for _ in range(1000):
                sender.sendall(b"y" * 10_000)
    assert gateway.client.get("/healthz").is_success


def test_a_secret_is_replaced_without_a_restart(gateway: GatewayServer) -> None:
    file = gateway.home.folder / "shop.secret"
    try:
        secret_file(file, "the new one")
        assert gateway.post("/hooks/github", PUSH, github(PUSH, "rotated", "the new one")).status_code == 202
        until(lambda: gateway.post("/hooks/github", PUSH, github(PUSH, "rotated")).status_code == 401)
    finally:
        secret_file(file, SHOP_SECRET)


def test_a_secret_that_others_may_read_is_no_secret(gateway: GatewayServer) -> None:
    file = gateway.home.folder / "shop.secret"
    try:
        file.chmod(0o644)
        until(lambda: gateway.post("/hooks/github", PUSH, github(PUSH, "open")).status_code == 401)
    finally:
        secret_file(file, SHOP_SECRET)
    assert f"a webhook secret cannot be read, so nothing is accepted with it: file:{file}" in gateway.said()


def test_it_says_that_it_is_alive_and_ready(gateway: GatewayServer) -> None:
    assert gateway.client.get("/healthz").text == "alive\n"
    assert gateway.client.get("/readyz").json() == {"ready": True}


def test_metrics_count_what_was_taken_and_refused(gateway: GatewayServer) -> None:
    gateway.post("/hooks/github", PUSH, github(PUSH, "counted"))
    gateway.post("/hooks/github", PUSH, github(PUSH, "counted", "guessed"))
    text = gateway.client.get("/metrics").text
    assert 'maestro_gateway_webhooks_total{outcome="stored",provider="github"}' in text
    assert 'maestro_gateway_webhooks_total{outcome="signature",provider="github"}' in text
    assert "maestro_gateway_inbox_failing 0.0" in text


def test_the_log_has_no_secrets(gateway: GatewayServer) -> None:
    gateway.post("/hooks/gitlab?token=in-the-query", GITLAB_PUSH, gitlab("logged"))
    until(lambda: '"delivery": "logged"' in gateway.said())
    said = gateway.said()
    for secret in (APP_SECRET, SHOP_SECRET, "the depot's token", "in-the-query", "guessed"):
        assert secret not in said


def test_an_address_in_use_is_told_without_a_traceback(gateway: GatewayServer) -> None:
    other = GatewayServer(gateway.home, gateway.log.with_name("second"), gateway.port)
    with pytest.raises(AssertionError, match=r"the gateway cannot listen on 127\.0\.0\.1"):
        other.start()
    assert "Traceback" not in other.said()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "maestro.gateway", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_port_that_is_none_is_told_without_a_traceback(tmp_path: Path) -> None:
    done = run("--home", str(tmp_path), "--port", "99999")
    assert done.returncode == 2
    assert "argument --port: '99999' is no port: 0 to 65535" in done.stderr


def test_a_database_that_is_none_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "server.yaml").write_text("database: " + secret_file(tmp_path / "url", "mysql://me:hush@host/db"))
    done = run("--home", str(tmp_path), "--port", "0")
    assert done.returncode == 2
    assert "error: the server's state cannot be kept in mysql" in done.stderr
    assert "hush" not in done.stderr


def test_a_file_that_is_no_socket_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("x")
    done = run("--home", str(tmp_path / "home"), "--socket", str(tmp_path / "kept"))
    assert done.returncode == 2
    assert "the gateway cannot listen: Address already in use" in done.stderr
    assert (tmp_path / "kept").read_text() == "x"


def test_it_needs_no_dagster() -> None:
    program = "import maestro.gateway.program, sys; print([name for name in sys.modules if 'dagster' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_it_listens_on_a_unix_socket(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("unix")
    home = make_home(folder / "home")
    path = folder / "gateway.sock"
    command = [sys.executable, "-m", "maestro.gateway", "--home", str(home.folder), "--socket", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://gateway") as client:

            def alive() -> bool:
                try:
                    return client.get("/healthz").is_success
                except httpx.TransportError:
                    return False

            until(alive)
            assert client.post("/hooks/github", content=PUSH, headers=github(PUSH, "unix")).status_code == 202
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert not path.exists()
