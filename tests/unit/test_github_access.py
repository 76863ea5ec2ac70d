"""Who speaks for a project at GitHub, and what is said when nobody can."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from maestro.errors import InputError
from maestro.github.access import GitHubAccess, installation_token
from maestro.github.app import AppCredentials
from maestro.github.comments import Author, marker
from maestro.github.errors import CredentialsError, UnavailableError
from maestro.github.rest import RestClient
from maestro.server.projects import RegisteredProject
from maestro.server.settings import GitHubSettings

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PROJECT = RegisteredProject("shop", "https://github.com/acme/shop.git", repository="acme/shop")
APP = GitHubSettings(app="4711", private_key="env:KEY")


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def access(settings: GitHubSettings, environ: dict[str, str], *answers: httpx.Response) -> GitHubAccess:
    left = list(answers)
    return GitHubAccess(
        settings, environ=environ, clock=lambda: NOW, transport=httpx.MockTransport(lambda _request: left.pop(0))
    )


def test_the_app_says_who_it_is_for_nine_minutes() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    said = AppCredentials("4711", lambda: pem(key), lambda: NOW).jwt()
    claims = jwt.decode(said, key.public_key(), algorithms=["RS256"], options={"verify_exp": False})
    assert jwt.get_unverified_header(said)["alg"] == "RS256"
    assert claims["iss"] == "4711"
    assert claims["iat"] == int((NOW - timedelta(minutes=1)).timestamp())
    assert claims["exp"] == int((NOW + timedelta(minutes=9)).timestamp())


@pytest.mark.parametrize("key", ["no key at all", pem(ec.generate_private_key(ec.SECP256R1()))], ids=["text", "EC"])
def test_a_key_that_is_no_rsa_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(InputError) as raised:
        access(APP, {"KEY": key}).fetch_token(PROJECT)
    assert "the private key of the GitHub App is no RSA key in PEM" in str(raised.value)
    assert key not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "credentials", "app", "reports"),
    [
        (GitHubSettings(), None, False, False),
        (GitHubSettings(token="env:TOKEN"), None, False, True),
        (APP, None, True, True),
        (APP, "env:TOKEN", False, True),
        (GitHubSettings(token="env:TOKEN"), "app", True, True),
    ],
)
def test_a_projects_own_credentials_come_first_then_the_app_then_the_servers_token(
    settings: GitHubSettings, credentials: str | None, app: bool, reports: bool
) -> None:
    project = RegisteredProject("shop", "", repository="acme/shop", credentials=credentials)
    found = access(settings, {})
    assert (found.uses_app(project), found.may_report(project)) == (app, reports)


def test_a_token_is_read_where_it_is() -> None:
    found = access(GitHubSettings(token="env:TOKEN"), {"TOKEN": "ghp_secret"})
    assert installation_token(PROJECT, found) == "ghp_secret"


def test_without_credentials_it_is_said_what_to_set_up() -> None:
    found = access(GitHubSettings(), {})
    assert found.fetch_token(PROJECT) is None
    with pytest.raises(InputError, match="there are no credentials for project 'shop' at GitHub") as raised:
        installation_token(PROJECT, found)
    assert raised.value.next_step == "set up a GitHub App or a token under `github` in server.yaml"


def test_a_project_that_wants_an_app_the_server_does_not_have_is_told_so() -> None:
    project = RegisteredProject("shop", "", repository="acme/shop", credentials="app")
    with pytest.raises(InputError, match="the server has no GitHub App"):
        access(GitHubSettings(), {}).fetch_token(project)


def test_a_token_that_stays_wrong_is_tried_twice_and_then_told() -> None:
    found = access(
        GitHubSettings(token="env:TOKEN"),
        {"TOKEN": "ghp_secret"},
        *[httpx.Response(401, json={"message": "Bad credentials"})] * 2,
    )
    with pytest.raises(CredentialsError) as raised:
        found.client(PROJECT).get("/user")
    assert str(raised.value) == (
        "GitHub answers GET /user with 401: Bad credentials\n"
        "  next: check the credentials of the project and what they may do"
    )


@pytest.mark.parametrize("body", [b"<html>proxy</html>", b"{"])
def test_an_answer_that_is_no_json_is_told(body: bytes) -> None:
    found = access(GitHubSettings(token="env:TOKEN"), {"TOKEN": "x"}, httpx.Response(200, content=body))
    with pytest.raises(UnavailableError, match="with something that is no JSON"):
        found.client(PROJECT).get("/user")


def test_a_connection_that_breaks_is_told_without_the_token() -> None:
    def breaks(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"refused {request.headers['Authorization']}")

    found = GitHubAccess(
        GitHubSettings(token="env:TOKEN"), environ={"TOKEN": "ghp_secret"}, transport=httpx.MockTransport(breaks)
    )
    with pytest.raises(UnavailableError) as raised:
        found.client(PROJECT).get("/user")
    assert raised.value.what == "GitHub does not answer GET /user: ConnectError"
    assert raised.value.__cause__ is None


def test_a_write_that_is_led_elsewhere_did_not_happen() -> None:
    moved = httpx.Response(301, headers={"location": "https://api.github.com/repositories/1/statuses/x"})
    found = access(GitHubSettings(token="env:TOKEN"), {"TOKEN": "x"}, moved, httpx.Response(200, json=[]))
    with pytest.raises(UnavailableError, match="leads POST /repos/acme/shop/statuses/x elsewhere"):
        found.client(PROJECT).request("POST", "/repos/acme/shop/statuses/x", json={})


def test_pages_are_followed_but_never_to_another_server() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        where = "https://api.github.com" if len(asked) == 1 else "https://elsewhere.example"
        return httpx.Response(
            200, json=[len(asked)], headers={"link": f'<{where}/x?page={len(asked) + 1}>; rel="next"'}
        )

    found = GitHubAccess(
        GitHubSettings(token="env:TOKEN"), environ={"TOKEN": "x"}, transport=httpx.MockTransport(answer)
    )
    assert list(found.client(PROJECT).pages("/x")) == [[1], [2]]
    assert asked == ["https://api.github.com/x?per_page=100", "https://api.github.com/x?per_page=100&page=2"]


def test_an_enterprise_server_is_reached_below_its_own_path() -> None:
    class Nobody:
        def headers(self, renewed: bool = False) -> dict[str, str]:
            return {}

    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={})

    http = httpx.Client(transport=httpx.MockTransport(answer))
    RestClient("https://ghe.example/api/v3/", Nobody(), http).get("/repos/acme/shop")
    assert seen == ["https://ghe.example/api/v3/repos/acme/shop"]


@pytest.mark.parametrize(
    ("author", "comment", "ours"),
    [
        (Author(app="4711"), {"performed_via_github_app": {"id": 4711}}, True),
        (Author(app="Iv1.abc"), {"performed_via_github_app": {"id": 4711, "client_id": "Iv1.abc"}}, True),
        (Author(app="4711"), {"performed_via_github_app": {"id": 12}}, False),
        (Author(app="4711"), {"user": {"type": "Bot"}, "performed_via_github_app": None}, False),
        (Author(user=7), {"user": {"id": 7}}, True),
        (Author(user=7), {"user": {"id": 8, "type": "Bot"}}, False),
        (Author(), {"user": {"id": 8, "type": "Bot"}}, True),
        (Author(), {"user": {"id": 8, "type": "User"}}, False),
        (Author(), {"user": None}, False),
    ],
)
def test_a_comment_is_ours_by_who_wrote_it(author: Author, comment: dict[str, object], ours: bool) -> None:
    assert author.wrote(comment) is ours


def test_a_marker_cannot_be_ended_by_a_name() -> None:
    made = marker("shop --> <script>", "delivery")
    assert made.count("-->") == 1
    assert made.startswith("<!-- maestro:")
    assert marker("a", "bc") != marker("ab", "c")


def test_a_secret_file_others_may_read_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("ghp_secret")
    token.chmod(0o644)
    with pytest.raises(InputError, match="others may read this secret"):
        access(GitHubSettings(token=f"file:{token}"), {}).fetch_token(PROJECT)
