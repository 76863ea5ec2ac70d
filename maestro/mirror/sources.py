"""Everything a revision is made of, wherever it is kept: repositories, and the contents of LFS files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from maestro.mirror.layout import Checkout
from maestro.mirror.lfs import tracked
from maestro.mirror.mirror import Mirror
from maestro.mirror.submodules import submodule_mirror, submodules_of
from maestro.mirror.worktree import remove_worktree, worktree


@dataclass(frozen=True, slots=True)
class Source:
    """A commit of a mirror, at ``path`` below the top (empty: the top)."""

    mirror: Mirror
    sha: str
    path: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What one revision is made of.

    Args:
        repositories: outer ones before inner ones.
        folder: where the LFS files lie.
        files: their paths, relative to it, sorted.
    """

    repositories: tuple[Source, ...]
    folder: Path
    files: tuple[str, ...]


@contextmanager
def sources_of(
    mirror: Mirror, sha: str, folder: Path, *, submodules: bool, lfs: bool | None, strange: bool = False
) -> Iterator[Sources]:
    """What the commit ``sha`` is made of; it is checked out into ``folder`` meanwhile, when that has to be looked at.

    Raises:
        MirrorError, GoneError, UnreachableError: something of it cannot be had.
    """
    top = Source(mirror, sha, "")
    if not submodules and lfs is None:
        yield Sources((top,), folder, ())
        return
    try:
        worktree(mirror, sha, folder, submodules=submodules, lfs=lfs, strange=strange)
        found = tuple(_repositories(top, folder, submodules, strange))
        files = tuple(sorted(path for source in found for path in _contents(source, folder))) if lfs else ()
        yield Sources(found, folder, files)
    finally:
        remove_worktree(folder)


def _repositories(source: Source, top: Path, submodules: bool, strange: bool) -> Iterator[Source]:
    yield source
    checkout = Checkout(top / source.path, source.mirror.address, source.sha)
    if not submodules or "modules" not in checkout.mentions():
        return
    for inner in submodules_of(checkout):
        path = f"{source.path}/{inner.path}".lstrip("/")
        found = submodule_mirror(source.mirror, inner.url, strange=strange)
        yield from _repositories(Source(found, inner.sha, path), top, submodules, strange)


def _contents(source: Source, top: Path) -> Iterator[str]:
    """LFS files of a repository, which have their contents by now."""
    checkout = Checkout(top / source.path, source.mirror.address, source.sha)
    if "attributes" not in checkout.mentions():
        return
    for path in tracked(checkout):
        if not (checkout.folder / path).is_symlink():
            yield f"{source.path}/{path}".lstrip("/")
