"""An image in a folder (OCI image layout 1.0): reading it with every digest checked, and writing one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maestro.oci.errors import LayoutError, OciError
from maestro.oci.manifest import (
    INDEX,
    INDEXES,
    MANIFEST_LIMIT,
    MANIFESTS,
    Descriptor,
    canonical,
    entries,
    parse_manifest,
)

MARK = "oci-layout"
INDEX_FILE = "index.json"
BLOBS = "blobs/sha256"
_MARK_TEXT = b'{"imageLayoutVersion":"1.0.0"}'
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """An image layout.

    Args:
        folder: where it lies.
        roots: what its ``index.json`` names.
    """

    folder: Path
    roots: tuple[Descriptor, ...]

    @classmethod
    def open(cls, folder: Path) -> Layout:
        """The layout in ``folder``; blobs are looked at when they are read.

        Raises:
            LayoutError: there is none.
        """
        try:
            mark = json.loads(_read(folder / MARK, folder))
            document = parse_manifest(_read(folder / INDEX_FILE, folder), f"index.json of '{folder.name}'")
            roots = entries(document, "manifests", "index.json")
        except (ValueError, RecursionError) as error:
            raise _damaged(folder, f"{MARK} is no JSON") from error
        except LayoutError:
            raise
        except OciError as error:
            raise _damaged(folder, error.what) from error
        if not isinstance(mark, dict) or mark.get("imageLayoutVersion") != "1.0.0":
            raise _damaged(folder, "it has no imageLayoutVersion 1.0.0")
        return cls(folder, roots)

    @classmethod
    def create(cls, folder: Path) -> Layout:
        """An empty layout in ``folder``, which must not exist; :meth:`finish` gives it a root."""
        (folder / BLOBS).mkdir(parents=True)
        (folder / MARK).write_bytes(_MARK_TEXT)
        return cls(folder, ())

    @property
    def root(self) -> Descriptor:
        """The only image of the layout.

        Raises:
            LayoutError: it has none, or several.
        """
        if len({one.digest for one in self.roots}) != 1:
            raise _damaged(self.folder, f"it holds {len(self.roots)} images instead of one")
        return self.roots[0]

    def blob(self, descriptor: Descriptor) -> Path:
        """The file of a blob.

        Raises:
            LayoutError: it is missing, no regular file, or of another size.
        """
        file = self.folder / BLOBS / descriptor.hex
        if file.is_symlink() or not file.is_file():
            raise _damaged(self.folder, f"blob {descriptor.digest} is missing")
        if file.stat().st_size != descriptor.size:
            raise _damaged(
                self.folder, f"blob {descriptor.digest} has {file.stat().st_size} bytes, not {descriptor.size}"
            )
        return file

    def document(self, descriptor: Descriptor) -> dict[str, Any]:
        """A manifest, index or configuration.

        Raises:
            LayoutError: it is missing, damaged or no JSON object.
        """
        file = self.blob(descriptor)
        data = file.read_bytes() if descriptor.size <= MANIFEST_LIMIT else b""
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != descriptor.digest:
            raise _damaged(self.folder, f"blob {descriptor.digest} has another digest, or is too large for a manifest")
        try:
            return parse_manifest(data, f"blob {descriptor.digest}")
        except OciError as error:
            raise _damaged(self.folder, error.what) from error

    def children(self, descriptor: Descriptor) -> tuple[Descriptor, ...]:
        """What a manifest or index names: manifests, or the configuration and the layers; () for a blob.

        Raises:
            LayoutError: it is damaged.
        """
        if descriptor.media_type not in INDEXES | MANIFESTS:
            return ()
        document = self.document(descriptor)
        try:
            if descriptor.is_index:
                return entries(document, "manifests", descriptor.digest)
            return (Descriptor.from_json(document.get("config")), *entries(document, "layers", descriptor.digest))
        except OciError as error:
            raise _damaged(self.folder, error.what) from error

    def walk(self, root: Descriptor, depth: int = 0) -> Iterator[Descriptor]:
        """``root`` and all it names, what is named first; each once for each time it is named.

        Raises:
            LayoutError: something is damaged, or nested too deeply.
        """
        if depth > _DEEPEST:
            raise _damaged(self.folder, f"its indexes are nested more than {_DEEPEST} deep")
        for child in self.children(root):
            yield from self.walk(child, depth + 1)
        yield root

    def verify(self) -> None:
        """Read every blob that is named.

        Raises:
            LayoutError: one is missing or is not what its digest says.
        """
        for one in {blob.digest: blob for root in self.roots for blob in self.walk(root)}.values():
            with self.blob(one).open("rb") as stream:
                if f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}" != one.digest:
                    raise _damaged(self.folder, f"the bytes of blob {one.digest} have another digest")

    def platform(self, manifest: Descriptor) -> str:
        """``linux/amd64``: what an image's configuration says it runs on.

        Raises:
            LayoutError: it is damaged.
        """
        about = self.document(self.children(manifest)[0])
        return "/".join(str(about[key]) for key in ("os", "architecture", "variant") if about.get(key))

    def add(self, data: bytes, media_type: str, **others: Any) -> Descriptor:
        """Write a blob; ``others`` are further fields of its descriptor."""
        descriptor = Descriptor.of(data, media_type, **others)
        (self.folder / BLOBS / descriptor.hex).write_bytes(data)
        return descriptor

    def finish(self, root: Descriptor) -> Layout:
        """The layout with ``root`` as its image; blobs that it does not name are deleted."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [root.to_json()]}
        (self.folder / INDEX_FILE).write_bytes(canonical(index))
        finished = Layout(self.folder, (root,))
        (self.folder / MARK).write_bytes(_MARK_TEXT)
        _keep_only(self.folder / BLOBS, (one.hex for one in finished.walk(root)))
        return finished


def _keep_only(folder: Path, names: Iterable[str]) -> None:
    kept = set(names)
    for file in folder.iterdir():
        if file.name not in kept:
            file.unlink()


def _read(file: Path, folder: Path) -> bytes:
    if file.is_symlink() or not file.is_file():
        raise _damaged(folder, f"it has no file {file.name}")
    with file.open("rb") as stream:
        return stream.read(MANIFEST_LIMIT + 1)


def _damaged(folder: Path, why: str) -> LayoutError:
    return LayoutError(
        f"'{folder.name}' is no usable image layout: {why}",
        next_step="make it again: skopeo copy docker://IMAGE oci:FOLDER",
    )
