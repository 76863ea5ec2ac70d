"""Mirrors over real HTTP: credentials reach the origin and nothing else, and every refusal says what it is."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.mirror import GoneError, Mirror, UnreachableError, token_environment
from tests.integration.mirror_origin import GitServer, Origin

TOKEN = "ghs_Zx81kQvT7mP0secret"
FORMS = (TOKEN, base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode())


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin.make(tmp_path / "origin")


@pytest.fixture
def server(origin: Origin) -> Iterator[GitServer]:
    with GitServer(origin.bare.parent, token=TOKEN).running() as running:
        yield running


def mirror_of(server: GitServer, tmp_path: Path, token: str = TOKEN) -> Mirror:
    return Mirror(tmp_path / "m/app.git", server.url(), lambda: token_environment(server.url(), token), seconds=20)


def assert_no_secret(text: str) -> None:
    assert not any(form in text for form in FORMS), text


def test_a_token_opens_a_private_repository(origin: Origin, server: GitServer, tmp_path: Path) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror = mirror_of(server, tmp_path)

    mirror.ensure(sha, "main")

    assert mirror.read(sha, "a.txt") == b"1\n"
    assert mirror.head("main") == sha


def test_a_token_is_in_no_file_of_the_mirror_and_in_no_log(
    origin: Origin, server: GitServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sha = origin.commit({"a.txt": "1\n"})

    mirror_of(server, tmp_path).ensure(sha, "main")

    for file in (tmp_path / "m").rglob("*"):
        if file.is_file():
            assert_no_secret(file.read_bytes().decode("latin-1"))
    assert_no_secret(caplog.text)
    assert_no_secret(repr(mirror_of(server, tmp_path)))


def test_a_token_is_in_no_argument(origin: Origin, server: GitServer, tmp_path: Path) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    seen: list[str] = []
    server.watch = lambda: seen.append(
        "".join(file.read_bytes().decode("latin-1") for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists())
    )

    mirror_of(server, tmp_path).ensure(sha, "main")

    assert any("git\0fetch" in one for one in seen)
    assert_no_secret("".join(seen))


@pytest.mark.parametrize("token", [TOKEN + "x", "wrong-but-long-enough"])
def test_a_wrong_token_is_an_error_that_does_not_show_it(
    origin: Origin, server: GitServer, tmp_path: Path, token: str
) -> None:
    sha = origin.commit({"a.txt": "1\n"})

    with pytest.raises(UnreachableError, match="missing, wrong or expired") as caught:
        mirror_of(server, tmp_path, token).ensure(sha, "main")

    assert not caught.value.retryable
    assert token not in str(caught.value)
    assert_no_secret(str(caught.value))


def test_no_account_of_the_machine_lends_its_credentials(
    origin: Origin, server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text(
        f'[credential]\n\thelper = "!f() {{ echo username=x-access-token; echo password={TOKEN}; }}; f"\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_ASKPASS", "/bin/echo")

    with pytest.raises(UnreachableError, match="missing, wrong or expired"):
        Mirror(tmp_path / "m.git", server.url()).ensure(sha)


def test_a_redirect_does_not_carry_the_token_elsewhere(origin: Origin, server: GitServer, tmp_path: Path) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    with GitServer(origin.bare.parent).running() as other:
        server.behaviour = other.base

        with pytest.raises(UnreachableError, match="301") as caught:
            mirror_of(server, tmp_path).ensure(sha)

        assert other.asked == []
    assert not caught.value.retryable


def test_an_expired_token_is_read_again_for_the_next_call(origin: Origin, server: GitServer, tmp_path: Path) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    tokens = iter(["old-token-that-expired", TOKEN])
    mirror = Mirror(tmp_path / "m.git", server.url(), lambda: token_environment(server.url(), next(tokens)))
    with pytest.raises(UnreachableError):
        mirror.head("main")

    assert mirror.head("main") == sha


@pytest.mark.parametrize(
    ("status", "retryable"), [("500", True), ("503", True), ("429", True), ("403", False), ("404", False)]
)
def test_the_servers_answer_decides_whether_waiting_helps(
    origin: Origin, server: GitServer, tmp_path: Path, status: str, retryable: bool
) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    server.behaviour = status

    with pytest.raises(UnreachableError) as caught:
        mirror_of(server, tmp_path).ensure(sha)

    assert caught.value.retryable is retryable


def test_nobody_listening_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="cannot be reached") as caught:
        Mirror(tmp_path / "m.git", "http://127.0.0.1:1/app.git").ensure("1" * 40)

    assert caught.value.retryable


def test_a_server_that_never_answers_is_given_up(origin: Origin, server: GitServer, tmp_path: Path) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    server.behaviour = "hold"
    mirror = Mirror(tmp_path / "m.git", server.url(), seconds=0.5)

    with pytest.raises(UnreachableError, match=r"no answer within 0\.5 s") as caught:
        mirror.ensure(sha)

    assert caught.value.retryable


def test_a_commit_the_server_does_not_have_is_gone(origin: Origin, server: GitServer, tmp_path: Path) -> None:
    origin.commit({"a.txt": "1\n"})
    gone = origin.force_push_away()

    with pytest.raises(GoneError, match="force-pushed"):
        mirror_of(server, tmp_path).ensure(gone, "main")


def test_a_token_is_not_sent_unprotected_over_a_network(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="over https only"):
        token_environment("http://git.example.com/o/r.git", TOKEN)

    mirror = Mirror(tmp_path / "m.git", "http://git.example.com/o/r.git", lambda: {"GIT_ASKPASS": "/bin/token"})
    with pytest.raises(InputError, match="unprotected"):
        mirror.ensure("1" * 40)
