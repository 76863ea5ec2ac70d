"""`maestro projects` with real repositories: what is fetched, registered, made and left behind."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maestro.cli.main import group
from maestro.cli.options import GlobalOptions
from maestro.errors import InputError, MaestroError
from maestro.mirror import GoneError
from maestro.server.home import find_server
from maestro.server.wake import Waiter

WORKFLOW = "name: shop\nstages: [{name: a, steps: [{id: one, run: shell, with: {command: 'true'}}]}]\n"
Maestro = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAESTRO_SERVER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def maestro(home: Path) -> Maestro:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(group(), arguments, obj=GlobalOptions(), standalone_mode=False)

    return run


def repository(folder: Path, workflow: str | None = WORKFLOW, file: str = "maestro.yaml") -> str:
    """A bare repository with one commit; its path."""
    work = folder / "work"
    subprocess.run(["git", "init", "-q", "-b", "main", str(work)], check=True)
    (work / "README").write_text("a shop\n")
    if workflow is not None:
        (work / file).parent.mkdir(exist_ok=True)
        (work / file).write_text(workflow)
    git = ["git", "-C", str(work), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    bare = folder / "shop.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    return str(bare)


def github(url: str) -> tuple[str, ...]:
    return ("projects", "add", url, "--provider", "github", "--repository", "acme/shop")


def test_a_project_is_registered_with_its_default_branch_and_a_secret_of_its_own(
    tmp_path: Path, home: Path, maestro: Maestro
) -> None:
    url = repository(tmp_path)
    result = maestro(*github(url), "--tenant", "web")
    assert result.exception is None
    assert f"added shop: {url}, default branch main" in result.output
    assert "http://127.0.0.1:8085/hooks/github/shop" in result.output
    secret = home / "secrets" / "shop"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert str(secret) in result.output
    assert secret.read_text() not in result.output
    (project,) = json.loads(maestro("projects", "list", "--json").output)["projects"]
    assert (project["name"], project["tenant"], project["default_branch"]) == ("shop", "web", "main")
    assert project["hook_secrets"] == [f"file:{secret}"]


def test_the_secret_is_written_only_when_that_is_asked_for(tmp_path: Path, home: Path, maestro: Maestro) -> None:
    result = maestro(*github(repository(tmp_path)), "--show-secret", "--json")
    assert json.loads(result.output)["secrets"] == [(home / "secrets" / "shop").read_text()]


def test_a_secret_that_is_given_is_referred_to_and_none_is_made(tmp_path: Path, home: Path, maestro: Maestro) -> None:
    maestro(*github(repository(tmp_path)), "--secret", "env:OLD_SECRET", "--secret", "env:NEW_SECRET")
    shown = json.loads(maestro("projects", "show", "shop", "--json").output)
    assert shown["hook_secrets"] == ["env:OLD_SECRET", "env:NEW_SECRET"]
    assert not (home / "secrets").exists()


def test_a_repository_nobody_sends_webhooks_for_needs_no_secret(tmp_path: Path, home: Path, maestro: Maestro) -> None:
    result = maestro("projects", "add", repository(tmp_path))
    assert "no webhooks" in result.output
    assert not (home / "secrets").exists()


def test_a_running_server_is_told(tmp_path: Path, home: Path, maestro: Maestro) -> None:
    waiter = Waiter(find_server(home), "supervisor")
    maestro("projects", "add", repository(tmp_path))
    assert waiter.wait(10)
    waiter.close()


def test_what_cannot_be_fetched_is_not_registered_and_leaves_nothing(
    tmp_path: Path, home: Path, maestro: Maestro
) -> None:
    result = maestro(*github(str(tmp_path / "nowhere.git")), "--name", "shop")
    assert isinstance(result.exception, MaestroError)
    assert str(tmp_path / "nowhere.git") in result.exception.what
    assert list((home / "mirrors").iterdir()) == []
    assert not (home / "secrets").exists()
    assert json.loads(maestro("projects", "list", "--json").output)["projects"] == []


def test_a_branch_that_is_not_there_is_named(tmp_path: Path, maestro: Maestro) -> None:
    result = maestro("projects", "add", repository(tmp_path), "--branch", "trunk")
    assert isinstance(result.exception, GoneError)
    assert "'trunk'" in result.exception.what


def test_a_repository_without_a_workflow_is_registered_with_a_warning(tmp_path: Path, maestro: Maestro) -> None:
    result = maestro("projects", "add", repository(tmp_path, workflow=None))
    assert "warning: on main, revision" in result.output
    assert "has no maestro.yaml" in result.output
    assert "shop" in maestro("projects", "list").output


def test_a_wrong_workflow_is_said_with_its_place(tmp_path: Path, maestro: Maestro) -> None:
    result = maestro("projects", "add", repository(tmp_path, workflow="name: shop\nstagess: []\n"), "--json")
    (warning,) = json.loads(result.output)["warnings"]
    assert warning.startswith("on main, maestro.yaml:1:1: the key 'stages' is missing")


def test_a_workflow_that_names_the_project_otherwise_is_said(tmp_path: Path, maestro: Maestro) -> None:
    result = maestro("projects", "add", repository(tmp_path, workflow=f"project: store\n{WORKFLOW}"))
    assert "calls the project 'store'; here it is 'shop'" in result.output


def test_the_workflow_may_be_another_file(tmp_path: Path, maestro: Maestro) -> None:
    url = repository(tmp_path, file="ci/deliver.yaml")
    result = maestro("--file", "ci/deliver.yaml", "projects", "add", url, "--json")
    assert json.loads(result.output)["warnings"] == []
    assert json.loads(result.output)["workflow_file"] == "ci/deliver.yaml"


def test_a_name_is_given_once(tmp_path: Path, home: Path, maestro: Maestro) -> None:
    url = repository(tmp_path)
    maestro("projects", "add", url)
    result = maestro(*github(url))
    assert isinstance(result.exception, InputError)
    assert result.exception.what == "there is a project 'shop' already"
    assert (home / "mirrors" / "shop.git").is_dir()


def test_a_repository_is_delivered_by_one_project(tmp_path: Path, home: Path, maestro: Maestro) -> None:
    url = repository(tmp_path)
    maestro(*github(url))
    result = maestro(*github(url), "--name", "store")
    assert isinstance(result.exception, InputError)
    assert result.exception.what == "acme/shop is delivered by project 'shop' already"
    assert not (home / "mirrors" / "store.git").exists()
    assert not (home / "secrets" / "store").exists()


def test_a_token_in_the_address_is_refused_and_not_repeated(maestro: Maestro) -> None:
    result = maestro("projects", "add", "https://me:hunter22@github.com/acme/shop.git")
    assert isinstance(result.exception, InputError)
    assert "hunter22" not in str(result.exception)


def test_a_removed_project_is_forgotten_and_its_work_stays(tmp_path: Path, home: Path, maestro: Maestro) -> None:
    maestro(*github(repository(tmp_path)))
    result = maestro("projects", "remove", "shop", "--json")
    assert json.loads(result.output)["kept"] == [str(home / "mirrors" / "shop.git"), str(home / "secrets" / "shop")]
    assert (home / "mirrors" / "shop.git").is_dir()
    assert isinstance(maestro("projects", "show", "shop").exception, InputError)


def test_a_project_that_is_not_there_cannot_be_removed(maestro: Maestro) -> None:
    result = maestro("projects", "remove", "shop")
    assert isinstance(result.exception, InputError)
    assert result.exception.what == "there is no project 'shop'"


def test_the_doctor_looks_at_a_server(tmp_path: Path, home: Path, maestro: Maestro) -> None:
    maestro(*github(repository(tmp_path)))
    answer = json.loads(maestro("doctor", "--home", str(home), "--json").output)
    checks = {one["name"]: one for one in answer["checks"]}
    assert checks["server"]["found"] == f"{home}, not running"
    assert checks["server database"]["found"] == "SQLite files in the home, 1 project"
    assert checks["server secrets"]["found"] == "1 secret can be read"
    assert "project" not in checks


def test_the_doctor_finds_a_secret_that_others_may_read(tmp_path: Path, home: Path, maestro: Maestro) -> None:
    maestro(*github(repository(tmp_path)))
    (home / "secrets" / "shop").chmod(0o644)
    result = maestro("doctor", "--home", str(home), "--json")
    (check,) = [one for one in json.loads(result.output)["checks"] if one["name"] == "server secrets"]
    assert check["state"] == "fail"
    assert check["found"] == f"{home / 'secrets' / 'shop'}: others may read this secret"


def test_the_doctor_says_where_the_settings_are_wrong(home: Path, maestro: Maestro) -> None:
    home.mkdir()
    (home / "server.yaml").write_text("web: {port: many}")
    answer = json.loads(maestro("doctor", "--home", str(home), "--json").output)
    assert not answer["ok"]
    assert answer["checks"][-1]["found"].startswith(f"{home / 'server.yaml'}:1:13: web.port: ")
