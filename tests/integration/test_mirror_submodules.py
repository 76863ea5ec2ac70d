"""Submodules are mirrors of their own; the repository that names them decides neither programs nor credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.mirror import GoneError, Mirror, token_environment, worktree
from maestro.mirror.submodules import submodule_mirror
from tests.integration.mirror_origin import GitServer, Origin, git


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin.make(tmp_path / "origin")


@pytest.fixture
def library(tmp_path: Path) -> Origin:
    return Origin.make(tmp_path / "origin", "library")


def add_submodule(origin: Origin, path: str, url: str, sha: str) -> str:
    """A commit with a submodule as a hostile repository could write it: nothing is checked."""
    git(origin.clone, "update-index", "--add", "--cacheinfo", f"160000,{sha},{path}")
    with (origin.clone / ".gitmodules").open("a") as file:
        file.write(f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n')
    git(origin.clone, "add", ".gitmodules")
    git(origin.clone, "commit", "--quiet", "--message", "submodule")
    git(origin.clone, "push", "--quiet", "--force", "origin", "HEAD:main")
    return git(origin.clone, "rev-parse", "HEAD")


def test_submodules_are_checked_out_at_any_depth(origin: Origin, library: Origin, tmp_path: Path) -> None:
    deepest = Origin.make(tmp_path / "origin", "deepest")
    lowest = deepest.commit({"deep.txt": "deep\n"})
    middle = add_submodule(library, "deep", "../deepest.git", lowest)
    sha = add_submodule(origin, "vendor/lib", "../library.git", middle)
    mirror = Mirror(tmp_path / "m.git", str(origin.bare))
    mirror.ensure(sha)

    folder = worktree(mirror, sha, tmp_path / "work", submodules=True)

    assert (folder / "vendor/lib/deep/deep.txt").read_text() == "deep\n"
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder / "vendor/lib", "rev-parse", "HEAD") == middle


def test_submodules_stay_out_unless_the_project_wants_them(origin: Origin, library: Origin, tmp_path: Path) -> None:
    sha = add_submodule(origin, "lib", "../library.git", library.commit({"a.txt": "1\n"}))
    mirror = Mirror(tmp_path / "m.git", str(origin.bare))
    mirror.ensure(sha)

    folder = worktree(mirror, sha, tmp_path / "work")

    assert list((folder / "lib").iterdir()) == []


def test_a_submodules_commit_that_is_gone_names_the_submodule(origin: Origin, library: Origin, tmp_path: Path) -> None:
    library.commit({"a.txt": "1\n"})
    sha = add_submodule(origin, "lib", "../library.git", "1" * 40)
    mirror = Mirror(tmp_path / "m.git", str(origin.bare))
    mirror.ensure(sha)

    with pytest.raises(GoneError) as caught:
        worktree(mirror, sha, tmp_path / "work", submodules=True)

    assert str(caught.value).startswith(f"submodule 'lib': commit {'1' * 40} is not in {library.bare}")
    assert not (tmp_path / "work").exists()


def test_credentials_go_along_to_the_same_host_only(origin: Origin, library: Origin, tmp_path: Path) -> None:
    inner = library.commit({"a.txt": "1\n"})
    with (
        GitServer(origin.bare.parent, token="token-of-the-project").running() as server,
        GitServer(origin.bare.parent).running() as other,
    ):
        add_submodule(origin, "near", "../library.git", inner)
        sha = add_submodule(origin, "far", other.url("library.git"), inner)

        def unscoped() -> dict[str, str]:
            found = token_environment(server.url(), "token-of-the-project")
            return {**found, "GIT_CONFIG_KEY_0": "http.extraHeader"}

        mirror = Mirror(tmp_path / "m.git", server.url(), unscoped)
        mirror.ensure(sha, "main")
        folder = worktree(mirror, sha, tmp_path / "work", submodules=True)

        assert (folder / "near/a.txt").read_text() == (folder / "far/a.txt").read_text() == "1\n"
        assert other.asked
        assert set(other.headers) == {""}


@pytest.mark.parametrize("url", ["/etc", "file:///etc"])
def test_a_remote_repository_cannot_name_a_path_of_the_server(
    origin: Origin, library: Origin, tmp_path: Path, url: str
) -> None:
    sha = add_submodule(origin, "lib", url, library.commit({"a.txt": "1\n"}))
    with GitServer(origin.bare.parent).running() as server:
        mirror = Mirror(tmp_path / "m.git", server.url())
        mirror.ensure(sha, "main")

        with pytest.raises(InputError, match=r"submodule 'lib': .* is a path on the server"):
            worktree(mirror, sha, tmp_path / "work", submodules=True)


@pytest.mark.parametrize(
    "url", ["ext::sh -c 'touch hacked'", "git://127.0.0.1/x", "../../../../../../../x", "ftp://h/x"]
)
def test_addresses_that_would_run_or_leak_something_are_refused(
    origin: Origin, library: Origin, tmp_path: Path, url: str
) -> None:
    sha = add_submodule(origin, "lib", url, library.commit({"a.txt": "1\n"}))
    with GitServer(origin.bare.parent).running() as server:
        mirror = Mirror(tmp_path / "m.git", server.url())
        mirror.ensure(sha, "main")

        with pytest.raises(InputError, match=r"submodule 'lib': .*(is not the address of a repository|leads above)"):
            worktree(mirror, sha, tmp_path / "work", submodules=True)


def test_a_submodule_that_holds_itself_comes_to_an_end(origin: Origin, tmp_path: Path) -> None:
    first = origin.commit({"a.txt": "1\n"})
    sha = add_submodule(origin, "self", str(origin.bare), first)
    for _ in range(10):
        sha = add_submodule(origin, "self", str(origin.bare), sha)
        (origin.clone / ".gitmodules").write_text(f'[submodule "self"]\n\tpath = self\n\turl = {origin.bare}\n')
    mirror = Mirror(tmp_path / "m.git", str(origin.bare))
    mirror.ensure(sha)

    with pytest.raises(InputError, match="nested more than"):
        worktree(mirror, sha, tmp_path / "work", submodules=True)


def test_a_stranger_cannot_name_a_repository_on_the_server_as_a_submodule(
    origin: Origin, library: Origin, tmp_path: Path
) -> None:
    sha = add_submodule(origin, "lib", "../library.git", library.commit({"a.txt": "1\n"}))
    mirror = Mirror(tmp_path / "m.git", str(origin.bare))
    mirror.ensure(sha)
    with pytest.raises(InputError, match=r"submodule 'lib': .*library.git is no public address"):
        worktree(mirror, sha, tmp_path / "work", submodules=True, strange=True)


def test_a_strangers_submodule_is_fetched_without_credentials_and_kept_apart(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "m.git", "https://git.example/acme/shop.git", lambda: {"SECRET": "token"})
    own = submodule_mirror(mirror, "../private.git")
    strange = submodule_mirror(mirror, "../private.git", strange=True)
    assert (own.credentials(), strange.credentials()) == ({"SECRET": "token"}, {})
    assert own.folder != strange.folder
