"""Who somebody is, and what they may do, is what GitHub says now; what it does not know is no."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from maestro.github.access import GitHubAccess
from maestro.github.errors import UnavailableError
from maestro.github.permissions import may_write
from maestro.github.rest import RestClient
from maestro.github.teams import is_member
from maestro.server.projects import RegisteredProject
from maestro.server.settings import GitHubSettings
from tests.integration.github_server import TOKEN, GitHubServer, bad_gateway, github_server

PROJECT = RegisteredProject("shop", "https://github.example/acme/shop.git", repository="acme/shop")


@pytest.fixture
def github() -> Iterator[GitHubServer]:
    with github_server() as server:
        yield server


@pytest.fixture
def client(github: GitHubServer) -> Iterator[RestClient]:
    settings = GitHubSettings(api=github.url, token="env:TOKEN")
    access = GitHubAccess(settings, environ={"TOKEN": TOKEN})
    yield access.client(PROJECT)
    access.close()


@pytest.mark.parametrize(
    ("permission", "may"), [("admin", True), ("write", True), ("maintain", True), ("read", False), ("none", False)]
)
def test_who_may_write_is_told_by_their_permission(
    github: GitHubServer, client: RestClient, permission: str, may: bool
) -> None:
    github.permissions["ann"] = permission
    assert may_write(client, "acme/shop", "ann") is may


def test_an_organisation_that_knows_no_such_membership_has_no_such_member(client: RestClient) -> None:
    assert is_member(client, "acme/releases", "ann") is False


def test_when_github_does_not_answer_nobody_may(github: GitHubServer, client: RestClient) -> None:
    github.fail_next(bad_gateway("collaborators"))
    with pytest.raises(UnavailableError):
        may_write(client, "acme/shop", "ann")
