"""How `maestro projects add` reads an address and what else it is given."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from maestro.cli import projects_source as source
from maestro.errors import InputError
from maestro.mirror.address import Address
from maestro.server.home import find_server
from maestro.server.projects import RegisteredProject


@pytest.mark.parametrize(
    ("url", "provider", "repository", "name"),
    [
        ("https://github.com/acme/shop.git", "github", "acme/shop", "shop"),
        ("https://github.example.com/acme/shop", "github", "acme/shop", "shop"),
        ("git@github.com:acme/shop.git", "github", "acme/shop", "shop"),
        ("ssh://git@gitlab.com/group/sub/shop.git", "gitlab", "group/sub/shop", "shop"),
        ("https://git.example.com/acme/1st.shop.git/", "git", "acme/1st.shop", "project-1st-shop"),
        ("/srv/git/shop.git", "git", "", "shop"),
    ],
)
def test_an_address_says_who_sends_events_and_how_the_project_is_called(
    url: str, provider: str, repository: str, name: str
) -> None:
    address = Address.parse(url)
    assert source.provider_of(address) == provider
    assert source.repository_of(address, source.provider_of(address)) == repository
    assert source.name_of(address) == name


def test_a_folder_may_be_named_as_it_is_seen_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.git").mkdir()
    monkeypatch.chdir(tmp_path)
    assert source.address_of("shop.git").url == str(tmp_path / "shop.git")


def test_a_repository_nobody_can_name_is_asked_for() -> None:
    with pytest.raises(InputError, match="what github calls the repository is not known") as caught:
        source.checked_repository("", "github", "shop")
    assert caught.value.next_step == "give --repository OWNER/NAME"
    assert source.checked_repository("", "git", "shop") == "shop"


def test_github_has_one_owner_and_gitlab_any_number_of_groups() -> None:
    with pytest.raises(InputError, match="not OWNER/NAME"):
        source.checked_repository("a/b/c", "github", "c")
    assert source.checked_repository("a/b/c", "gitlab", "c") == "a/b/c"


def test_a_secret_given_in_place_of_a_reference_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="takes a reference") as caught:
        source.checked_reference("hunter22hunter22", "--secret")
    assert "hunter22" not in str(caught.value)


def test_a_secrets_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cr3t-of-the-hook")
    file.chmod(0o644)
    with pytest.raises(InputError, match="others may read this secret"):
        source.checked_reference(f"file:{file}", "--secret")


def test_a_secrets_file_is_kept_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("s3cr3t-of-the-hook")
    (tmp_path / "secret").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    assert source.checked_reference("file:secret", "--secret") == f"file:{tmp_path / 'secret'}"


@pytest.mark.parametrize("file", ["/etc/passwd", "../other/maestro.yaml"])
def test_a_workflow_file_outside_of_the_repository_is_refused(file: str) -> None:
    with pytest.raises(InputError, match="leads out of the repository"):
        source.checked_workflow_file(file)


def test_a_tenant_has_a_name() -> None:
    with pytest.raises(InputError, match="cannot be the name of a tenant"):
        source.checked_tenant("a b")


def test_a_secret_that_is_made_is_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    home = find_server(tmp_path)
    reference = source.make_secret(home, "shop")
    file = tmp_path / "secrets" / "shop"
    assert reference == f"file:{file}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text()) == 64
    made = file.read_text()
    source.make_secret(home, "shop")
    assert file.read_text() == made


def test_the_advice_names_where_the_secret_is_and_not_what_it_is(tmp_path: Path) -> None:
    home = find_server(tmp_path)
    project = RegisteredProject(
        "shop", "https://github.com/acme/shop", repository="acme/shop", hook_secrets=(source.make_secret(home, "shop"),)
    )
    advice = "\n".join(source.webhook_advice(home, project))
    assert "http://127.0.0.1:8085/hooks/github/shop" in advice
    assert str(tmp_path / "secrets" / "shop") in advice
    assert (tmp_path / "secrets" / "shop").read_text() not in advice
