"""What git's environment holds, and what its errors do not."""

from __future__ import annotations

import base64

import pytest

from maestro.errors import InputError
from maestro.mirror.address import Address
from maestro.mirror.calls import Answer, clean
from maestro.mirror.credentials import settings_of, token_environment
from maestro.mirror.environment import git_environment
from maestro.mirror.names import full_reference
from maestro.mirror.reasons import Trouble, trouble_of

HTTPS = Address.parse("https://github.com/o/r.git")
TOKEN = "ghs_abcDEF123456"


def test_a_token_goes_to_its_host_by_a_setting_in_the_environment() -> None:
    found = token_environment(HTTPS.url, TOKEN)

    assert settings_of(found) == [
        (
            "http.https://github.com/.extraHeader",
            "Authorization: Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode(),
        )
    ]


@pytest.mark.parametrize("token", ["", "a b\n", "tökén", "x\r\nHost: y"])
def test_a_token_no_header_can_hold_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(InputError, match="the token is empty or holds characters") as caught:
        token_environment(HTTPS.url, token)

    assert not token or token not in str(caught.value)


def test_our_settings_come_after_those_of_the_credentials_and_win() -> None:
    credentials = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "/evil"}

    settings = settings_of(git_environment(HTTPS, credentials, environ={}))

    assert settings[0] == ("core.hooksPath", "/evil")
    assert [value for key, value in settings if key == "core.hooksPath"][-1] == "/dev/null"


def test_the_servers_own_git_variables_do_not_reach_git_but_for_how_it_connects() -> None:
    environ = {
        "PATH": "/bin",
        "GIT_DIR": "/x",
        "GIT_TRACE_CURL": "1",
        "GIT_CONFIG_PARAMETERS": "'a=b'",
        "SSH_ASKPASS": "/x",
        "GIT_SSL_CAINFO": "/ca.pem",
        "HTTPS_PROXY": "http://proxy:3128",
    }

    found = git_environment(HTTPS, environ=environ)

    assert not {"GIT_DIR", "GIT_TRACE_CURL", "GIT_CONFIG_PARAMETERS", "SSH_ASKPASS"} & found.keys()
    assert (found["PATH"], found["GIT_SSL_CAINFO"], found["HTTPS_PROXY"]) == ("/bin", "/ca.pem", "http://proxy:3128")
    assert found["GIT_TERMINAL_PROMPT"] == "0"
    assert found["GIT_ALLOW_PROTOCOL"] == "https:ssh"


@pytest.mark.parametrize(
    "credentials",
    [{"GIT_CONFIG_COUNT": "1"}, {"GIT_CONFIG_COUNT": "many"}, {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "a"}],
)
def test_incomplete_credentials_are_refused(credentials: dict[str, str]) -> None:
    with pytest.raises(InputError, match="does not fit its keys and values"):
        git_environment(HTTPS, credentials, environ={})


def test_a_reason_holds_no_secret_in_any_form_and_no_control_characters() -> None:
    secrets = token_environment(HTTPS.url, TOKEN)
    header = base64.b64encode(f"x-access-token:{TOKEN}".encode())
    said = (
        b"hint: not this\nremote: \x1b[31m"
        + TOKEN.encode()
        + b"\r\nfatal: "
        + header
        + b"\nerror: https://user:other-password@h/x\x07 failed\n"
    )

    reason = clean(said, secrets)

    assert TOKEN not in reason
    assert header.decode() not in reason
    assert "other-password" not in reason
    assert reason == "remote: ***; fatal: ***; error: https://***@h/x failed"


def test_a_reason_is_bounded() -> None:
    assert len(clean(b"fatal: " + b"x" * 100_000, {})) < 1000


@pytest.mark.parametrize(
    ("reason", "trouble"),
    [
        ("fatal: remote error: upload-pack: not our ref 1234", Trouble.GONE),
        ("error: Server does not allow request for unadvertised object 1234", Trouble.UNADVERTISED),
        ("fatal: couldn't find remote ref refs/heads/x", Trouble.REFERENCE),
        ("fatal: Unable to create '/m/shallow.lock': File exists.", Trouble.LOCKED),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", Trouble.UNREACHABLE),
        ("ssh: connect to host h port 22: Connection refused; fatal: Could not read from remote", Trouble.UNREACHABLE),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 502", Trouble.UNREACHABLE),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 403", Trouble.REFUSED),
        ("git@h: Permission denied (publickey).; fatal: Could not read from remote repository.", Trouble.REFUSED),
        ("fatal: write error: No space left on device", Trouble.FULL),
        ("error: object file x is empty; fatal: loose object x is corrupt", Trouble.UNKNOWN),
        ("something nobody has seen", Trouble.UNKNOWN),
    ],
)
def test_gits_words_are_understood(reason: str, trouble: Trouble) -> None:
    assert trouble_of(Answer(128, b"", reason)) is trouble


def test_no_answer_at_all_is_worth_another_try() -> None:
    assert trouble_of(Answer(None, b"", "no answer within 1 s")) is Trouble.UNREACHABLE


@pytest.mark.parametrize("name", ["main", "-x", "ünï/x", "a#b", "refs/tags/v1", "refs/pull/7/head"])
def test_a_short_name_is_a_branch(name: str) -> None:
    assert full_reference(name) == (name if name.startswith("refs/") else f"refs/heads/{name}")


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a..b", "x:y", "a*", "a\n", "a~1", "x.lock", "refs/", "a//b", "/a", "a/", ".a", "a@{1}", "refs/heads"],
)
def test_what_git_allows_no_reference_to_be_called_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not a branch or reference"):
        full_reference(name)
