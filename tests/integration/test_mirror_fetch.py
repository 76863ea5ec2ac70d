"""A mirror gets the commits it is asked for from its origin, whatever happened to the origin or to itself."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.mirror import GoneError, Mirror, MirrorError, NoBaseError, UnreachableError, worktree
from tests.integration.mirror_origin import GitServer, Origin, git

ENSURE = "import sys; from pathlib import Path; from maestro.mirror import Mirror; Mirror(Path(sys.argv[1]), sys.argv[2]).ensure(sys.argv[3], 'main')"


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin.make(tmp_path / "origin")


@pytest.fixture
def mirror(origin: Origin, tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "mirrors/app.git", str(origin.bare))


@pytest.fixture
def server(origin: Origin) -> Iterator[GitServer]:
    with GitServer(origin.bare.parent).running() as running:
        yield running


def ensure_elsewhere(folder: Path, url: str, sha: str) -> subprocess.Popen[str]:
    """Another process that wants ``sha``."""
    return subprocess.Popen(
        [sys.executable, "-c", ENSURE, str(folder), url, sha],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_commit_is_fetched_with_its_branch_its_history_and_its_tags(origin: Origin, mirror: Mirror) -> None:
    first = origin.commit({"a.txt": "1\n"})
    git(origin.clone, "tag", "v1")
    git(origin.clone, "push", "--quiet", "origin", "v1")
    second = origin.commit({"a.txt": "2\n"})

    mirror.ensure(second, "refs/heads/main")

    assert mirror.read(second, "a.txt") == b"2\n"
    assert mirror.merge_base(first, second) == first
    assert mirror.git.text("rev-parse", "refs/remotes/origin/main") == second
    assert mirror.git.text("describe", "--tags", second).startswith("v1-1-g")


def test_a_commit_that_is_here_needs_no_origin(origin: Origin, mirror: Mirror) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha)
    shutil.rmtree(origin.bare)

    mirror.ensure(sha)

    assert mirror.read(sha, "a.txt") == b"1\n"


def test_a_commit_that_came_as_another_ones_history_needs_no_origin(origin: Origin, mirror: Mirror) -> None:
    first = origin.commit({"a.txt": "1\n"})
    mirror.ensure(origin.commit({"a.txt": "2\n"}))
    shutil.rmtree(origin.bare)

    mirror.ensure(first, "main")

    assert mirror.repository.has(first)


def test_a_commit_is_fetched_though_its_branch_was_deleted_while_the_origin_still_has_it(
    origin: Origin, mirror: Mirror
) -> None:
    origin.commit({"a.txt": "1\n"})
    sha = origin.commit({"b.txt": "1\n"}, branch="feature")
    git(origin.clone, "push", "--quiet", "origin", ":feature")

    mirror.ensure(sha, "feature")

    assert mirror.read(sha, "b.txt") == b"1\n"


def test_a_commit_that_was_force_pushed_away_is_named_as_gone(origin: Origin, mirror: Mirror) -> None:
    origin.commit({"a.txt": "1\n"})
    gone = origin.force_push_away()

    with pytest.raises(GoneError) as caught:
        mirror.ensure(gone, "main")

    assert str(caught.value).startswith(
        f"commit {gone} is not in {origin.bare} any more: the branch was deleted or force-pushed"
    )


def test_a_commit_of_a_deleted_branch_is_named_as_gone(origin: Origin, mirror: Mirror) -> None:
    origin.commit({"a.txt": "1\n"})
    gone = origin.commit({"b.txt": "1\n"}, branch="feature")
    git(origin.clone, "reset", "--quiet", "--hard", "HEAD^")
    git(origin.clone, "push", "--quiet", "origin", ":feature")
    origin.forget()

    with pytest.raises(GoneError, match="the branch was deleted or force-pushed"):
        mirror.ensure(gone, "feature")


def test_a_neighbour_that_is_gone_does_not_keep_others_from_their_commits(origin: Origin, mirror: Mirror) -> None:
    gone = "1" * 40
    wanted = [origin.commit({"a.txt": f"{number}\n"}) for number in range(4)]

    def ensure(sha: str) -> str:
        try:
            mirror.ensure(sha, "main")
        except GoneError:
            return "gone"
        return "here"

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(ensure, [gone, *wanted]))

    assert outcomes == ["gone", "here", "here", "here", "here"]


def test_a_force_push_moves_the_tracked_branch(origin: Origin, mirror: Mirror) -> None:
    mirror.ensure(origin.commit({"a.txt": "1\n"}), "main")
    git(origin.clone, "commit", "--quiet", "--amend", "--message", "another")
    replaced = origin.commit({"a.txt": "2\n"})

    mirror.ensure(replaced, "main")

    assert mirror.git.text("rev-parse", "refs/remotes/origin/main") == replaced


def test_a_branch_may_take_the_place_of_a_folder_of_branches(origin: Origin, mirror: Mirror) -> None:
    mirror.ensure(origin.commit({"a.txt": "1\n"}, branch="topic"), "topic")
    git(origin.clone, "push", "--quiet", "origin", ":topic")
    sha = origin.commit({"a.txt": "2\n"}, branch="topic/one")

    mirror.ensure(sha, "topic/one")

    assert mirror.git.text("rev-parse", "refs/remotes/origin/topic/one") == sha


@pytest.mark.parametrize("branch", ["-x", "ünï/código", "a#b%20c", "it's-$HOME;`id`", "release/1.0@x", '"q"', "a{b}"])
def test_branches_have_odd_names(origin: Origin, mirror: Mirror, branch: str) -> None:
    sha = origin.commit({"a.txt": "1\n"}, branch=branch)

    mirror.ensure(sha, branch)

    assert mirror.head(branch) == sha
    assert mirror.git.text("rev-parse", f"refs/remotes/origin/{branch}") == sha


def test_an_origin_without_a_default_branch_gives_its_commits(origin: Origin, mirror: Mirror) -> None:
    sha = origin.commit({"a.txt": "1\n"}, branch="trunk")

    mirror.ensure(sha, "trunk")

    assert mirror.git.text("rev-parse", "refs/remotes/origin/trunk") == sha
    with pytest.raises(GoneError, match="has no default branch"):
        mirror.default_branch()


def test_the_head_of_a_branch_and_the_default_branch_are_asked_of_the_origin(origin: Origin, mirror: Mirror) -> None:
    first = origin.commit({"a.txt": "1\n"})
    assert mirror.head("main") == first
    second = origin.commit({"a.txt": "2\n"})

    assert mirror.head("main") == second
    assert mirror.default_branch() == "main"
    with pytest.raises(GoneError, match="has no branch 'nothing'"):
        mirror.head("nothing")


def test_depth_leaves_older_history_with_the_origin(origin: Origin, tmp_path: Path) -> None:
    first = origin.commit({"a.txt": "1\n"})
    origin.commit({"a.txt": "2\n"})
    third = origin.commit({"a.txt": "3\n"})
    # Over a path git copies more than it is told to.
    mirror = Mirror(tmp_path / "shallow.git", f"file://{origin.bare}", depth=1)

    mirror.ensure(third, "main")

    assert mirror.git.text("rev-list", "--count", third) == "1"
    assert mirror.changed(first, third) == ["a.txt"]


def test_a_repository_with_sha_256_ids_is_mirrored(tmp_path: Path) -> None:
    bare, clone = tmp_path / "app.git", tmp_path / "clone"
    git(tmp_path, "init", "--quiet", "--bare", "--object-format=sha256", "--initial-branch=main", str(bare))
    git(tmp_path, "init", "--quiet", "--object-format=sha256", "--initial-branch=main", str(clone))
    git(clone, "remote", "add", "origin", str(bare))
    sha = Origin(bare, clone).commit({"a.txt": "1\n"})
    mirror = Mirror(tmp_path / "mirror.git", str(bare))

    mirror.ensure(sha, "main")
    folder = worktree(mirror, sha, tmp_path / "work")

    assert len(sha) == 64
    assert (folder / "a.txt").read_text() == "1\n"


def test_an_origin_that_gives_only_what_it_announces_is_fetched_whole(origin: Origin, mirror: Mirror) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    latest = origin.commit({"a.txt": "2\n"})
    old = Mirror(
        mirror.folder,
        str(origin.bare),
        # The protocol before 2018, which knows this limit.
        lambda: {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.version", "GIT_CONFIG_VALUE_0": "0"},
    )

    old.ensure(sha, "main")

    assert old.read(sha, "a.txt") == b"1\n"
    assert old.git.text("rev-parse", "refs/remotes/origin/main") == latest
    with pytest.raises(GoneError):
        old.ensure("1" * 40, "main")


def test_threads_and_processes_that_want_one_commit_share_one_fetch(
    origin: Origin, server: GitServer, tmp_path: Path
) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    folder = tmp_path / "shared.git"

    processes = [ensure_elsewhere(folder, server.url(), sha) for _ in range(4)]
    endings = [(process.communicate()[1], process.returncode) for process in processes]

    assert endings == [("", 0)] * 4
    assert sum("info/refs" in path for path in server.asked) == 1


def test_what_waits_for_a_fetch_is_served_by_the_next_one(origin: Origin, server: GitServer, tmp_path: Path) -> None:
    wanted = [origin.commit({"a.txt": f"{number}\n"}) for number in range(8)]
    mirror = Mirror(tmp_path / "busy.git", server.url())
    mirror.ensure(wanted[-1])
    git(origin.clone, "reset", "--quiet", "--hard", wanted[0])
    side = [origin.commit({f"{number}.txt": "side\n"}, branch=f"side-{number}") for number in range(8)]
    server.asked.clear()
    server.behaviour = "hold"

    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(mirror.ensure, sha, f"side-{number}") for number, sha in enumerate(side)]
        assert server.holding.wait(30)
        while mirror.waiting < 8:
            server.holding.wait(0.01)
        server.behaviour = "serve"
        server.let_go.set()
        endings = [future.exception() for future in running]

    # Whoever had to wait for the answer that never came says so; everybody else got theirs from one fetch.
    assert sum(isinstance(ending, UnreachableError) for ending in endings) <= 1
    assert sum(ending is None for ending in endings) >= 7
    assert sum("info/refs" in path for path in server.asked) == 2


def test_a_fetch_whose_process_is_killed_leaves_a_usable_mirror(
    origin: Origin, server: GitServer, tmp_path: Path
) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    folder = tmp_path / "killed.git"
    server.behaviour = "hold"
    process = ensure_elsewhere(folder, server.url(), sha)
    assert server.holding.wait(30)

    process.kill()
    process.communicate()
    server.behaviour = "serve"
    server.let_go.set()
    mirror = Mirror(folder, server.url())
    mirror.ensure(sha, "main")

    assert mirror.read(sha, "a.txt") == b"1\n"


def test_git_killed_at_any_moment_leaves_a_usable_mirror(origin: Origin, tmp_path: Path) -> None:
    chance = random.Random(4)
    sha = origin.commit({f"{number}.bin": chance.randbytes(20_000) for number in range(200)})
    folder = tmp_path / "killed.git"

    for moment in (0.0, 0.02, 0.05, 0.1, 0.2):
        process = ensure_elsewhere(folder, f"file://{origin.bare}", sha)
        try:
            process.wait(0.25 + moment)
        except subprocess.TimeoutExpired:
            for child in _descendants(process.pid):
                os.kill(child, signal.SIGKILL)
            process.kill()
        process.communicate()
        origin.commit({"more.bin": chance.randbytes(2000)})
    mirror = Mirror(folder, f"file://{origin.bare}")
    mirror.ensure(sha, "main")
    mirror.ensure(origin.commit({"last.txt": "1\n"}), "main")

    assert mirror.repository.is_sound()
    assert worktree(mirror, sha, tmp_path / "work").joinpath("199.bin").is_file()


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [found for child in map(int, children) for found in (*_descendants(child), child)]


@pytest.mark.parametrize("name", ["refs/maestro/{sha}.lock", "refs/remotes/origin/main.lock", "shallow.lock"])
def test_a_lock_that_a_killed_git_left_is_removed(origin: Origin, tmp_path: Path, name: str) -> None:
    mirror = Mirror(tmp_path / "locked.git", f"file://{origin.bare}", depth=2)
    mirror.ensure(origin.commit({"a.txt": "1\n"}), "main")
    sha = origin.commit({"a.txt": "2\n"})
    lock = mirror.folder / name.format(sha=sha)
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()

    mirror.ensure(sha, "main")

    assert mirror.read(sha, "a.txt") == b"2\n"
    assert mirror.git.text("rev-parse", "refs/remotes/origin/main") == sha


def _no_head(folder: Path) -> None:
    (folder / "HEAD").unlink()


def _no_objects(folder: Path) -> None:
    shutil.rmtree(folder / "objects")


def _emptied_objects(folder: Path) -> None:
    for file in (folder / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o600)
            file.write_bytes(b"")


def _cut_packs(folder: Path) -> None:
    _pack(folder)
    for file in (folder / "objects/pack").iterdir():
        file.chmod(0o600)
        os.truncate(file, file.stat().st_size // 2)


def _pack(folder: Path) -> None:
    git(folder, "repack", "-adq", GIT_DIR=str(folder))


@pytest.mark.parametrize("damage", [_no_head, _no_objects])
def test_a_damaged_mirror_is_made_anew_and_said_aloud(
    origin: Origin, mirror: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    first = origin.commit({"a.txt": "1\n" * 1000})
    mirror.ensure(first, "main")
    damage(mirror.folder)
    second = origin.commit({"a.txt": "2\n" * 1000})

    mirror.ensure(second, "main")

    assert worktree(mirror, second, tmp_path / "new").joinpath("a.txt").read_text() == "2\n" * 1000
    assert "is made anew" in caplog.text
    assert len(list(mirror.folder.parent.glob("app.git.corrupt-*"))) == 1
    assert mirror.repository.is_sound()


@pytest.mark.parametrize("damage", [_emptied_objects, _cut_packs])
def test_damaged_objects_are_fetched_again(
    origin: Origin, mirror: Mirror, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    first = origin.commit({"a.txt": "1\n" * 1000})
    mirror.ensure(first, "main")
    damage(mirror.folder)
    second = origin.commit({"a.txt": "2\n" * 1000})

    mirror.ensure(second, "main")

    assert worktree(mirror, second, tmp_path / "new").joinpath("a.txt").read_text() == "2\n" * 1000
    assert worktree(mirror, first, tmp_path / "old").joinpath("a.txt").read_text() == "1\n" * 1000


@pytest.mark.parametrize("damage", [_emptied_objects, _cut_packs])
def test_damage_found_by_a_checkout_is_mended_from_the_origin(
    origin: Origin, mirror: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha, "main")
    assert mirror.repository.is_sound()
    damage(mirror.folder)

    folder = worktree(mirror, sha, tmp_path / "work")

    assert (folder / "a.txt").read_text() == "1\n"
    assert "is made anew" in caplog.text


def test_changes_are_the_paths_that_differ(origin: Origin, mirror: Mirror) -> None:
    base = origin.commit({"a.txt": "1\n", "b/c d.txt": "1\n", "gone.txt": "1\n"})
    (origin.clone / "gone.txt").unlink()
    sha = origin.commit({"b/c d.txt": "2\n", "ü.txt": "1\n"})
    mirror.ensure(sha)

    assert mirror.changed(base, sha) == ["b/c d.txt", "gone.txt", "ü.txt"]


def test_changes_since_the_fork_leave_out_what_the_base_did_meanwhile(origin: Origin, mirror: Mirror) -> None:
    fork = origin.commit({"a.txt": "1\n"})
    sha = origin.commit({"mine.txt": "1\n"}, branch="feature")
    git(origin.clone, "reset", "--quiet", "--hard", fork)
    base = origin.commit({"theirs.txt": "1\n"})
    mirror.ensure(sha, "feature")

    assert mirror.changed(base, sha, since_fork=True) == ["mine.txt"]
    assert mirror.changed(base, sha) == ["mine.txt", "theirs.txt"]


@pytest.mark.parametrize("base", [None, "", "0" * 40, "1" * 40])
def test_without_a_base_everything_counts_as_changed(origin: Origin, mirror: Mirror, base: str | None) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha)

    with pytest.raises(NoBaseError, match="there is nothing to compare"):
        mirror.changed(base, sha)


def test_files_are_read_through_links_and_not_outside(origin: Origin, mirror: Mirror) -> None:
    (origin.clone / "link.yaml").symlink_to("d/real.yaml")
    (origin.clone / "out").symlink_to("../../etc/passwd")
    sha = origin.commit({"d/real.yaml": "x: 1\n", "ü b.txt": b"\xff\x00"})
    mirror.ensure(sha)

    assert mirror.read(sha, "link.yaml") == b"x: 1\n"
    assert mirror.read(sha, "ü b.txt") == b"\xff\x00"
    assert mirror.read(sha, "d/none.yaml") is None
    for path in ("out", "d", "../x", "/etc/passwd", "a\nb", ""):
        with pytest.raises(InputError, match=r"not a file of the repository|not the path of a file"):
            mirror.read(sha, path)


def test_reading_a_commit_that_is_not_here_says_so(origin: Origin, mirror: Mirror) -> None:
    mirror.ensure(origin.commit({"a.txt": "1\n"}))

    with pytest.raises(MirrorError, match="is not in the mirror"):
        mirror.read("1" * 40, "a.txt")


def test_pruning_lets_go_of_commits_that_are_not_kept_and_are_old(origin: Origin, mirror: Mirror) -> None:
    old, kept, young = (origin.commit({"a.txt": f"{number}\n"}) for number in range(3))
    for sha in (old, kept, young):
        mirror.ensure(sha, "main")
    for sha in (old, kept):
        os.utime(mirror.repository.kept_file(sha), (0, 0))

    assert mirror.prune({kept}) == 1

    assert sorted(mirror.repository.kept()) == sorted([kept, young])


def test_refreshing_forgets_deleted_branches_and_brings_new_ones(origin: Origin, mirror: Mirror) -> None:
    mirror.ensure(origin.commit({"a.txt": "1\n"}, branch="old"), "old")
    git(origin.clone, "push", "--quiet", "origin", ":old")
    new = origin.commit({"a.txt": "2\n"}, branch="new")

    mirror.refresh()

    assert mirror.git.text("for-each-ref", "--format=%(objectname) %(refname)", "refs/remotes") == (
        f"{new} refs/remotes/origin/new"
    )


def test_settings_that_somebody_changed_are_put_back_before_the_next_fetch(
    origin: Origin, mirror: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mirror.ensure(origin.commit({"a.txt": "1\n"}), "main")
    elsewhere = tmp_path / "elsewhere.git"
    mirror.git("config", f"url.{elsewhere}.insteadOf", str(origin.bare))

    mirror.ensure(origin.commit({"a.txt": "2\n"}), "main")

    assert "they are put back" in caplog.text


@pytest.mark.parametrize("sha", ["", "main", "--upload-pack=x", "abc123", "A" * 40])
def test_only_whole_commit_ids_are_fetched(mirror: Mirror, sha: str) -> None:
    with pytest.raises(InputError, match="not a whole commit id"):
        mirror.ensure(sha)


def test_an_origin_that_is_no_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="does not appear to be a git repository") as caught:
        Mirror(tmp_path / "m.git", str(tmp_path / "nothing.git")).ensure("1" * 40)

    assert not caught.value.retryable
