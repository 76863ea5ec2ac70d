"""Files that Git LFS keeps elsewhere: found by their pointers, fetched from the origin itself, or refused by name."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from maestro.mirror.address import Address
from maestro.mirror.calls import call_git
from maestro.mirror.environment import git_environment
from maestro.mirror.errors import MirrorError, UnreachableError
from maestro.mirror.layout import Checkout
from maestro.mirror.reasons import Trouble, trouble_of
from maestro.mirror.settings import quoted
from maestro.project.git import parse_records

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_POINTER = re.compile(rb"version https://(git-lfs|hawser)\.github\.com/spec/v\d\n([^\n]*\n)*oid sha256:[0-9a-f]{64}\n")
_LARGEST_POINTER = 1024
_FILTER = """\
[filter "lfs"]
	clean = git-lfs clean -- %f
	smudge = git-lfs smudge -- %f
	process = git-lfs filter-process
"""
_NAMED = 5
_SECONDS = 1800.0


def tracked(checkout: Checkout) -> list[str]:
    """Paths that ``.gitattributes`` gives to Git LFS, sorted.

    Raises:
        MirrorError: git cannot say.
    """
    answer = checkout.ask("ls-files", "-z", "--cached", ":(attr:filter=lfs)")
    if not answer.ok:
        raise MirrorError(f"the LFS files of commit {checkout.sha} cannot be listed: {answer.reason}")
    return sorted(parse_records(answer.output))


def pointers(checkout: Checkout) -> list[str]:
    """Those that hold a pointer instead of their content, sorted."""
    return [path for path in tracked(checkout) if is_pointer(checkout.folder / path)]


def is_pointer(file: Path) -> bool:
    """Whether the file is a pointer of Git LFS."""
    try:
        status = file.lstat()
        if file.is_symlink() or status.st_size > _LARGEST_POINTER:
            return False
        return _POINTER.match(file.read_bytes()) is not None
    except OSError:
        return False


def fill_pointers(
    checkout: Checkout, *, storage: Path, fetch: bool, credentials: Callable[[], Mapping[str, str]]
) -> None:
    """Puts the content of LFS files in their place.

    Only the origin itself is asked: a repository's own ``.lfsconfig`` could name any host.

    Args:
        storage: where contents are kept for later checkouts.
        fetch: False refuses, and names the files.

    Raises:
        MirrorError: there are such files, and they are not to be fetched, or git-lfs is not installed.
        UnreachableError: they cannot be had.
    """
    paths = pointers(checkout)
    if not paths:
        return
    if not fetch:
        raise MirrorError(
            f"commit {checkout.sha} has files that Git LFS keeps elsewhere: {_listed(paths)}",
            next_step="let the project fetch them (lfs: true)",
        )
    if shutil.which("git-lfs") is None:
        raise MirrorError(
            f"git-lfs is not installed, but commit {checkout.sha} needs it for {_listed(paths)}",
            next_step="apt-get install git-lfs",
        )
    with (checkout.folder / ".git/config").open("a", encoding="utf-8") as config:
        # There for the steps' own git, too: without the filter it takes every such file for a changed one.
        config.write(_settings(checkout.address, storage))
    known = credentials()
    answer = call_git(
        checkout.folder,
        "lfs",
        "pull",
        # Without GIT_DIR: git-lfs would look for an origin on this machine in the checkout itself.
        environment={**git_environment(checkout.address, known), "GIT_LFS_SKIP_SMUDGE": "0"},
        seconds=_SECONDS,
        secrets=known,
    )
    missing = pointers(checkout)
    if not answer.ok or missing:
        raise UnreachableError(
            f"the LFS files of commit {checkout.sha} cannot be had from {checkout.address}: {_listed(missing or paths)}"
            + (f": {answer.reason}" if answer.reason else ""),
            retryable=trouble_of(answer) is not Trouble.REFUSED,
            next_step="check that the origin has them (`git lfs push --all`), and the project's credentials",
        )
    checkout.ask("update-index", "-q", "--refresh")


def _settings(address: Address, storage: Path) -> str:
    settings = {"storage": str(storage), "locksverify": "false"}
    if address.scheme in ("https", "http"):
        base = address.url.rstrip("/")
        settings["url"] = f"{base if base.endswith('.git') else f'{base}.git'}/info/lfs"
    elif address.scheme == "file":
        settings["url"] = f"file://{os.path.realpath(address.path)}"
    lines = "".join(f"\t{name} = {quoted(value)}\n" for name, value in settings.items())
    return f"[lfs]\n{lines}{_FILTER}"


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more
