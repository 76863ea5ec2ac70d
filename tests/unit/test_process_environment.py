from __future__ import annotations

import pytest

from maestro.process.environment import INHERITED, base_environment, without_credentials


@pytest.mark.parametrize("name", [name.replace("*", "EXAMPLE") for name in INHERITED])
def test_every_rule_lets_its_variables_through(name: str) -> None:
    assert base_environment({name: "value"}) == {name: "value"}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "DOCKER_CONFIG",
        "PYTHONPATH",
        "LD_PRELOAD",
        "MAESTRO_HOME",
        "path",
        "MY_PATH",
        "CIRCLE",
    ],
)
def test_what_no_rule_names_is_not_inherited(name: str) -> None:
    assert base_environment({name: "value"}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "UV_PUBLISH_TOKEN",
        "PIP_PASSWORD",
        "npm_config__authToken",
        "NPM_CONFIG_KEY",
        "XDG_SECRET",
        "LC_KEY",
        "KEY_PROXY",
    ],
)
def test_a_name_that_says_credential_is_not_inherited_even_when_a_glob_matches(name: str) -> None:
    assert base_environment({name: "value"}) == {}


def test_the_result_is_a_sorted_copy() -> None:
    environ = {"TZ": "UTC", "HOME": "/h", "PATH": "/bin"}
    inherited = base_environment(environ)
    inherited["HOME"] = "elsewhere"
    assert list(inherited) == ["HOME", "PATH", "TZ"]
    assert environ["HOME"] == "/h"


def test_a_strangers_step_is_lent_no_credentials_in_addresses_and_no_agent() -> None:
    given = {
        "PIP_INDEX_URL": "https://ci:hunter2@packages.example/simple",
        "HTTPS_PROXY": "http://token@proxy.example:3128",
        "SSH_AUTH_SOCK": "/run/agent",
        "UV_INDEX_URL": "https://packages.example/simple/@scope",
        "PATH": "/usr/bin",
    }
    assert sorted(without_credentials(given)) == ["PATH", "UV_INDEX_URL"]
