"""The Dagster resource by which sensors tell GitHub of runs and get tokens to fetch with."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from maestro.errors import InputError
from maestro.reporting.model import RunReport
from maestro.server.database import open_engine
from maestro.server.home import find_server
from maestro.server.projects import Projects, RegisteredProject
from maestro.server.wake import Waiter
from resources.github import GITHUB, GitHubResource
from tests.integration.github_server import APP_ID, GitHubServer, github_server

SHOP = RegisteredProject("shop", "https://github.example/acme/shop.git", repository="acme/shop")


@pytest.fixture
def github() -> Iterator[GitHubServer]:
    with github_server() as server:
        yield server


@pytest.fixture
def home(github: GitHubServer, tmp_path: Path) -> Path:
    key = tmp_path / "app.pem"
    key.touch(mode=0o600)
    key.write_text(github.private_key_pem)
    settings = {"github": {"api": github.url, "app": APP_ID, "private_key": f"file:{key}"}}
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(settings))
    engine = open_engine(find_server(tmp_path).database_url)
    Projects(engine).add(SHOP)
    engine.dispose()
    return tmp_path


def report(project: str = "shop") -> RunReport:
    return RunReport(project, "acme/shop", "a" * 40, "run-1", "delivery", "succeeded", 1000.0)


def test_a_sensor_reports_a_run_and_wakes_the_conductor_which_sends_it(home: Path, github: GitHubServer) -> None:
    @dg.op(required_resource_keys={GITHUB})
    def tell(context: dg.OpExecutionContext) -> int:
        told: int = getattr(context.resources, GITHUB).report(report())
        return told

    @dg.job(resource_defs={GITHUB: GitHubResource(home=str(home))})
    def telling() -> None:
        tell()

    waiter = Waiter(find_server(home), "conductor")
    try:
        assert telling.execute_in_process().output_for_node("tell") == 1
        assert waiter.wait(0)
    finally:
        waiter.close()

    with GitHubResource(home=str(home)).reporter() as reporter:
        assert reporter.send_due() == 1
    (check,) = github.checks_of("a" * 40)
    assert check["conclusion"] == "success"


def test_it_gives_a_token_that_can_only_read_the_source(home: Path, github: GitHubServer) -> None:
    token = GitHubResource(home=str(home)).installation_token(SHOP)
    assert github.tokens[token]["permissions"] == {"contents": "read"}


def test_a_project_nobody_registered_is_told_so(home: Path) -> None:
    with pytest.raises(InputError, match="there is no project 'other'"):
        GitHubResource(home=str(home)).report(report("other"))


def test_a_project_of_a_plain_git_server_is_told_nothing(home: Path) -> None:
    engine = open_engine(find_server(home).database_url)
    Projects(engine).add(RegisteredProject("plain", "/srv/git/plain.git", provider="git"))
    engine.dispose()
    assert GitHubResource(home=str(home)).report(report("plain")) == 0
