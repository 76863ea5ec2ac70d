from __future__ import annotations

import pytest

from maestro.process.environment import INHERITED, base_environment


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
