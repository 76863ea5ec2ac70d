"""Questions to a bare repository about files and history: each one call of git, or two."""

from __future__ import annotations

import subprocess

from maestro.errors import InputError
from maestro.mirror.errors import MirrorError
from maestro.mirror.names import TRACKED
from maestro.mirror.repository import Repository
from maestro.project.git import parse_records

_LARGEST = 10 * 1024 * 1024


def read(repository: Repository, sha: str, path: str) -> bytes | None:
    """See ``Mirror.read``."""
    if not path or path.startswith("/") or "\n" in path or "\0" in path or ".." in path.split("/"):
        raise InputError(f"{path[:200]!r} is not the path of a file in a repository", next_step="correct it")
    header, content = _object(repository, f"{sha}:{path}")
    words = header.split(b" ")
    if words[-1] == b"missing":
        require(repository, sha)
        return None
    # 'dangling', 'loop', 'notdir' and 'symlink' (out of the repository) come from --follow-symlinks.
    if words[0] in (b"dangling", b"loop", b"notdir"):
        return None
    if words[0] == b"symlink" or words[1] != b"blob":
        raise InputError(f"'{path}' of commit {sha} is not a file of the repository", next_step="name a file")
    if content is None:
        raise InputError(f"'{path}' of commit {sha} has more than {_LARGEST // 2**20} MB", next_step="make it smaller")
    return content


def _object(repository: Repository, name: str) -> tuple[bytes, bytes | None]:
    """What ``git cat-file --batch`` says about ``name``, and its content when that is not too large."""
    process = subprocess.Popen(
        ["git", "cat-file", "--batch", "--follow-symlinks"],
        cwd=repository.folder if repository.folder.is_dir() else None,
        env=repository.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            process.stdin.write(name.encode("utf-8", "surrogateescape") + b"\n")
            process.stdin.close()
            header = process.stdout.readline().rstrip(b"\n")
            size = header.rpartition(b" ")[2]
            if not header:
                raise MirrorError(f"the mirror {repository.folder} cannot be read", next_step="fetch the commit first")
            if not size.isdigit() or int(size) > _LARGEST:
                return header, None
            return header, process.stdout.read(int(size))
        except BrokenPipeError as error:
            raise MirrorError(
                f"the mirror {repository.folder} cannot be read", next_step="fetch the commit first"
            ) from error
        finally:
            process.kill()


def require(repository: Repository, sha: str) -> str:
    """The commit behind ``sha``.

    Raises:
        MirrorError: it is not here.
    """
    if repository.exists():
        answer = repository.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{sha}^{{commit}}")
        if answer.ok:
            return answer.text()
    raise MirrorError(f"commit {sha} is not in the mirror {repository.folder}", next_step="fetch it first")


def changed(repository: Repository, base: str, sha: str, *, since_fork: bool) -> list[str] | None:
    """See ``Mirror.changed``; None when one of the two is not here, or they have no common commit."""
    if not repository.exists():
        return None
    fork = ("--merge-base",) if since_fork else ()
    answer = repository.ask("diff-tree", "-r", "-z", "--name-only", "--no-renames", *fork, base, sha)
    return sorted(parse_records(answer.output)) if answer.ok else None


def merge_base(repository: Repository, one: str, other: str) -> str | None:
    """See ``Mirror.merge_base``."""
    answer = repository.ask("merge-base", one, other)
    return answer.text() if answer.ok else None


def published(repository: Repository, sha: str) -> bool:
    """See ``Mirror.published``."""
    if not repository.exists():
        return False
    answer = repository.ask("for-each-ref", f"--contains={sha}", "--format=%(refname)", TRACKED, "refs/tags")
    # What HEAD names may come from an archive, whose only commit it is.
    return answer.ok and any(name != f"{TRACKED}HEAD" for name in answer.text().splitlines())
