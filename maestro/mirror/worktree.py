"""A folder with one revision of a mirror's repository, in which git works, and which shares nothing that can change."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from maestro.mirror.errors import MirrorError
from maestro.mirror.layout import Checkout
from maestro.mirror.lfs import fill_pointers
from maestro.mirror.mirror import Mirror
from maestro.mirror.names import TRACKED, checked_commit
from maestro.mirror.repository import Repository
from maestro.mirror.submodules import add_submodules


def worktree(
    mirror: Mirror,
    sha: str,
    folder: Path,
    *,
    submodules: bool = False,
    lfs: bool | None = False,
    strange: bool = False,
) -> Path:
    """Checks out the commit ``sha``, which the mirror has, into ``folder``; removed again when that fails.

    The folder's repository borrows the mirror's objects, and has the origin's branches and tags as of now, a detached
    HEAD, and no credentials. What a step does to it stays in it. It works as long as the mirror keeps the commit.

    Args:
        folder: does not exist, or is empty.
        submodules: check them out too, at any depth; their mirrors lie in the mirror's folder.
        lfs: fetch files that Git LFS keeps elsewhere; False fails when there are any, None leaves their pointers.
        strange: of somebody who is not trusted: its submodules are fetched as anybody could, without credentials.

    Raises:
        InputError: the folder is not empty, or a submodule's address cannot be used.
        MirrorError: the commit is not here or damaged, or there are LFS files that cannot be had.
        GoneError, UnreachableError: a submodule's commit cannot be had.
    """
    folder = folder.absolute()
    checkout = Checkout(folder, mirror.address, checked_commit(sha))
    checkout.lay_out(objects=mirror.folder / "objects", shallow=boundary(mirror.repository))
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="references") as beside:
            references = beside.submit(packed_references, mirror.repository)
            filled = checkout.fill()
            if not filled.ok:
                mirror.mend(sha, filled.reason)
                filled = checkout.fill()
            if not filled.ok:
                raise MirrorError(f"commit {sha} of {mirror.address} cannot be checked out: {filled.reason}")
            checkout.set_references(references.result())
        mentioned = checkout.mentions()
        if "attributes" in mentioned and lfs is not None:
            fill_pointers(checkout, storage=mirror.folder / "lfs", fetch=lfs, credentials=mirror.credentials)
        if submodules and "modules" in mentioned:
            add_submodules(
                mirror,
                checkout,
                lambda inner, commit, place: _inner(inner, commit, place, lfs, strange),
                strange=strange,
            )
    except BaseException:
        remove_worktree(folder)
        raise
    return folder


def _inner(mirror: Mirror, sha: str, folder: Path, lfs: bool | None, strange: bool) -> None:
    worktree(mirror, sha, folder, submodules=True, lfs=lfs, strange=strange)


def remove_worktree(folder: Path) -> None:
    """Removes a checkout, whatever permissions a step has left in it; the mirror has nothing to forget."""

    def open_up(_function: object, path: str, _error: object) -> None:
        Path(path).parent.chmod(0o700)
        place = Path(path)
        if place.is_dir() and not place.is_symlink():
            place.chmod(0o700)
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)

    if folder.is_dir():
        shutil.rmtree(folder, onerror=open_up)


def boundary(repository: Repository) -> list[str]:
    """Commits of a mirror whose parents it does not have."""
    try:
        return (repository.folder / "shallow").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []


def packed_references(repository: Repository) -> bytes:
    """The origin's branches and tags, in the format of ``packed-refs``."""
    form = "%(objectname) %(refname)%(if)%(*objectname)%(then)%0a^%(*objectname)%(end)"
    answer = repository.ask("for-each-ref", f"--format={form}", TRACKED, "refs/tags")
    return b"# pack-refs with: peeled fully-peeled sorted \n" + answer.output if answer.output else b""
