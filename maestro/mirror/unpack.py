"""A revision out of the artifact store, where there is no mirror."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path

from maestro.artifacts import ArtifactStore
from maestro.mirror.address import Address
from maestro.mirror.archive import PackedFile, PackedRepository, read_index
from maestro.mirror.errors import MirrorError
from maestro.mirror.layout import Checkout
from maestro.mirror.worktree import remove_worktree


def unpack_source(store: ArtifactStore, digest: str, folder: Path, *, sha: str | None = None) -> str:
    """Checks out what ``pack_source`` kept into ``folder``: the files, and a repository of its own around them.

    The artifact's digest is verified before anything is unpacked, and git verifies that objects are what their ids
    say and that none is missing.

    Args:
        folder: does not exist, or is empty; removed again when this fails.
        sha: the commit it has to be.

    Returns:
        The commit.

    Raises:
        InputError: the folder is not empty.
        ArtifactMissingError, CorruptArtifactError: the store does not have it whole.
        MirrorError: it is no archive of a source, is damaged, or is of another commit.
    """
    folder = folder.absolute()
    with tempfile.TemporaryDirectory(prefix="source-") as name:
        file = Path(name) / "source.tar"
        with file.open("wb") as target:
            for chunk in store.read_chunks(digest):
                target.write(chunk)
        try:
            with tarfile.open(file, "r:") as archive:
                return _unpack(archive, folder, sha)
        except (tarfile.TarError, KeyError) as error:
            raise MirrorError(
                f"artifact {digest} is not an archive of a source", next_step="pack the revision again"
            ) from error


def _unpack(archive: tarfile.TarFile, folder: Path, sha: str | None) -> str:
    index = read_index(archive)
    found = index.repositories[0].sha
    if sha is not None and found != sha:
        raise MirrorError(
            f"the source archive is of commit {found}, and not of {sha}", next_step="pack the revision again"
        )
    existed = folder.exists() and any(folder.iterdir())
    try:
        for repository in index.repositories:
            if not (folder / repository.path).resolve().is_relative_to(folder.resolve()):
                raise MirrorError("this is not an archive of a source", next_step="pack the revision again")
            _unpack_repository(archive, repository, folder / repository.path)
        for packed in index.files:
            _place(archive, packed, folder)
    except BaseException:
        if not existed:
            remove_worktree(folder)
        raise
    return found


def _unpack_repository(archive: tarfile.TarFile, packed: PackedRepository, folder: Path) -> None:
    checkout = Checkout(folder, Address.parse(packed.url), packed.sha)
    checkout.lay_out(objects=None, shallow=packed.shallow, references=packed.references.encode())
    source = archive.extractfile(packed.pack)
    if source is None:
        raise KeyError(packed.pack)
    pack = folder / ".git/objects/pack/source.pack"
    with pack.open("wb") as target:
        shutil.copyfileobj(source, target, 1024 * 1024)
    answer = checkout.ask("index-pack", "--strict", str(pack))
    if answer.ok:
        # Named as git names packs, by what is in them; git tells which name that is.
        name = answer.text()
        pack.rename(pack.with_name(f"pack-{name}.pack"))
        pack.with_suffix(".idx").rename(pack.with_name(f"pack-{name}.idx"))
        answer = checkout.fill()
    if answer.ok:
        answer = checkout.ask("rev-parse", "--verify", "HEAD^{commit}")
    if not answer.ok or answer.text() != packed.sha:
        raise MirrorError(
            f"the source archive of commit {packed.sha} is damaged: {answer.reason or 'it holds another commit'}",
            next_step="pack the revision again",
        )


def _place(archive: tarfile.TarFile, packed: PackedFile, folder: Path) -> None:
    target = folder / packed.path
    # The pointer was checked out there; an archive that names anything else would write through a link.
    if not target.parent.resolve().is_relative_to(folder.resolve()) or target.is_symlink() or not target.is_file():
        raise MirrorError("this is not an archive of a source", next_step="pack the revision again")
    source = archive.extractfile(packed.member)
    if source is None:
        raise KeyError(packed.member)
    with target.open("wb") as output:
        shutil.copyfileobj(source, output, 1024 * 1024)
