"""A revision as one artifact, for workers that have no mirror."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.artifacts import Artifact, ArtifactStore
from maestro.errors import InputError
from maestro.mirror.archive import (
    INDEX,
    MEDIA_TYPE,
    PackedFile,
    PackedRepository,
    SourceIndex,
    add_bytes,
    add_file,
)
from maestro.mirror.calls import call_git
from maestro.mirror.errors import MirrorError
from maestro.mirror.mirror import Mirror
from maestro.mirror.names import KEPT, checked_commit
from maestro.mirror.repository import Repository
from maestro.mirror.sources import Source, sources_of
from maestro.mirror.worktree import boundary

DEPTH = 50
"""Commits of history that travel along."""
_SECONDS = 600.0


def pack_source(
    mirror: Mirror,
    sha: str,
    store: ArtifactStore,
    *,
    depth: int = DEPTH,
    base: str | None = None,
    submodules: bool = False,
    lfs: bool | None = False,
    strange: bool = False,
) -> Artifact:
    """Keeps the commit ``sha``, which the mirror has, as one artifact in ``store``.

    The same revision, history and tags give the same bytes with the same version of git, whatever the mirror went
    through: nothing is reused from how it stores them.

    Args:
        depth: newest commits of the history to take along, with the tags on them.
        base: a commit that steps compare with (``changed()``); its files come too. The mirror has it.
        submodules: pack them as well.
        lfs, strange: as ``worktree``.

    Returns:
        The artifact; its digest is what ``unpack_source`` takes.

    Raises:
        InputError: no commit id, or a depth below 1.
        MirrorError, GoneError, UnreachableError: the commit, a submodule or an LFS file is not here and cannot be had.
        ArtifactStoreError: the store cannot be written.
    """
    checked_commit(sha)
    if depth < 1:
        raise InputError(f"a depth of {depth} leaves no commit", next_step="give 1 or more")
    bases = () if base is None or base == sha else (checked_commit(base),)
    with (
        tempfile.TemporaryDirectory(prefix="source-") as name,
        sources_of(mirror, sha, Path(name) / "files", submodules=submodules, lfs=lfs, strange=strange) as sources,
    ):
        folder = Path(name)
        repositories = []
        for number, source in enumerate(sources.repositories):
            top = not source.path
            repositories.append(_pack(source, number, folder, depth if top else 1, bases if top else ()))
        files = tuple(PackedFile(path, f"lfs/{number}") for number, path in enumerate(sources.files))
        file = folder / "source.tar"
        with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
            add_bytes(archive, INDEX, SourceIndex(tuple(repositories), files).to_bytes())
            for repository in repositories:
                add_file(archive, repository.pack, folder / repository.pack)
            for packed in files:
                add_file(archive, packed.member, sources.folder / packed.path)
        return store.put_file(file, name=f"source-{sha}", media_type=MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class _History:
    commits: frozenset[str]
    shallow: tuple[str, ...]


def _pack(source: Source, number: int, folder: Path, depth: int, bases: Sequence[str]) -> PackedRepository:
    repository, sha = source.mirror.repository, source.sha
    history = _history(repository, sha, depth, bases)
    tags = list(_tags(repository, history.commits))
    references = "".join(
        [
            "# pack-refs with: peeled fully-peeled sorted \n",
            *(f"{base} {KEPT}{base}\n" for base in bases),
            *(f"{target} {name}\n" + (f"^{commit}\n" if commit != target else "") for name, target, commit in tags),
        ]
    )
    member = f"{number}.pack"
    wanted = [*sorted(history.commits), *bases, *(target for _, target, _ in tags)]
    listed = repository.ask(
        *("rev-list", "--objects", "--no-walk=unsorted", "--stdin"), data="".join(f"{one}\n" for one in wanted).encode()
    )
    with (folder / member).open("wb") as output:
        answer = (
            listed
            if not listed.ok
            else call_git(
                repository.folder,
                *("pack-objects", "--quiet", "--stdout", "--delta-base-offset"),
                *("--no-reuse-delta", "--no-reuse-object", "--threads=1", "--window=10", "--depth=50"),
                environment=repository.environment(),
                seconds=_SECONDS,
                # Sorted: the order git comes upon objects in depends on how they are stored.
                data=b"".join(sorted(listed.output.splitlines(keepends=True))),
                output=output.fileno(),
            )
        )
    if not answer.ok:
        raise MirrorError(f"commit {sha} of {source.mirror.address} cannot be packed: {answer.reason}")
    return PackedRepository(source.path, sha, source.mirror.address.url, history.shallow, references, member)


def _history(repository: Repository, sha: str, depth: int, bases: Sequence[str]) -> _History:
    """The newest ``depth`` commits, the bases, and those of them whose parents are left behind."""
    answer = repository.ask("rev-list", "--parents", f"--max-count={depth}", sha)
    if not answer.ok:
        raise MirrorError(
            f"commit {sha} is not in the mirror {repository.folder}: {answer.reason}", next_step="fetch it first"
        )
    parents = {line.split()[0]: line.split()[1:] for line in answer.text().splitlines()}
    cut = {commit for commit, others in parents.items() if any(other not in parents for other in others)}
    cut |= set(boundary(repository)) & (parents.keys() | set(bases))
    # A base outside of the history comes without its own.
    cut |= {base for base in bases if base not in parents}
    reached = _reached(sha, {commit: () if commit in cut else others for commit, others in parents.items()})
    return _History(reached, tuple(sorted(cut & (reached | set(bases)))))


def _reached(sha: str, parents: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Commits that are still on ``sha``'s history once it is cut: a merge is cut from all its parents at once."""
    found, waiting = {sha}, [sha]
    while waiting:
        new = [parent for parent in parents[waiting.pop()] if parent not in found]
        found.update(new)
        waiting += new
    return frozenset(found)


def _tags(repository: Repository, commits: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    """Name, object and commit of each tag on one of ``commits``."""
    answer = repository.ask("for-each-ref", "--format=%(refname)%00%(objectname)%00%(*objectname)", "refs/tags")
    for line in answer.text().splitlines():
        name, target, commit = line.split("\0")
        if (commit or target) in commits:
            yield name, target, commit or target
