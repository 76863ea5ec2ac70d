"""Image layouts: read with every digest checked, packed to equal bytes, and unpacked without harm."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from maestro.oci.archive import pack_layout, unpack_layout
from maestro.oci.errors import LayoutError
from maestro.oci.layout import Layout
from maestro.oci.manifest import CONFIG, INDEX, MANIFEST, Descriptor, canonical, digest_of
from maestro.oci.normalise import BaseImage, adopt

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def image(layout: Layout, *, architecture: str = "amd64", comment: str = "") -> Descriptor:
    config = {"os": "linux", "architecture": architecture, "history": [{"created_by": "COPY", "comment": comment}]}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add(canonical(config), CONFIG).to_json(),
        "layers": [layout.add(b"layer", LAYER).to_json()],
        "annotations": {"org.opencontainers.image.base.name": comment, "kept": "yes"},
    }
    return layout.add(canonical(manifest), MANIFEST, platform=f"linux/{architecture}")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout.create(tmp_path / "layout")
    return made.finish(image(made))


def blob(layout: Layout, descriptor: Descriptor) -> Path:
    return layout.folder / "blobs/sha256" / descriptor.hex


def test_a_layout_is_read_as_it_was_written(layout: Layout) -> None:
    found = Layout.open(layout.folder)
    assert found == layout
    found.verify()
    assert found.platform(found.root) == "linux/amd64"
    assert [one.media_type for one in found.walk(found.root)] == [CONFIG, LAYER, MANIFEST]


def test_blobs_that_nothing_names_are_not_kept(tmp_path: Path) -> None:
    made = Layout.create(tmp_path / "layout")
    stray = made.add(b"stray", LAYER)
    finished = made.finish(image(made))
    assert not blob(finished, stray).exists()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda one: blob(one, one.root).unlink(), "is missing"),
        (lambda one: blob(one, one.root).write_bytes(b"x"), "has 1 bytes, not"),
        (lambda one: blob(one, one.children(one.root)[1]).write_bytes(b"LAYER"), "have another digest"),
        (lambda one: (one.folder / "index.json").write_bytes(b"{"), "is no JSON"),
        (
            lambda one: (one.folder / "index.json").write_bytes(b'{"manifests": 5}'),
            "is no list",
        ),
        (lambda one: (one.folder / "index.json").write_bytes(b"[" * 100_000), "is no JSON"),
        (lambda one: (one.folder / "index.json").unlink(), "it has no file index.json"),
        (
            lambda one: (one.folder / "oci-layout").write_bytes(b'{"imageLayoutVersion": "2"}'),
            "no imageLayoutVersion 1.0.0",
        ),
        (lambda one: (one.folder / "index.json").write_bytes(b" " * (4 * 2**20 + 1)), "is larger than 4 MiB"),
    ],
)
def test_a_damaged_layout_is_refused_with_what_is_wrong(
    layout: Layout, harm: Callable[[Layout], object], why: str
) -> None:
    harm(layout)
    with pytest.raises(LayoutError) as caught:
        Layout.open(layout.folder).verify()
    assert "'layout' is no usable image layout" in caught.value.what
    assert why in caught.value.what
    assert "skopeo copy" in str(caught.value.next_step)


def test_a_blob_of_the_right_size_and_another_digest_is_no_manifest(layout: Layout) -> None:
    place = blob(layout, layout.root)
    place.write_bytes(place.read_bytes().replace(b"yes", b"YES"))
    with pytest.raises(LayoutError, match="has another digest"):
        Layout.open(layout.folder).verify()


def test_a_blob_that_is_a_link_is_not_followed(layout: Layout, tmp_path: Path) -> None:
    place = blob(layout, layout.children(layout.root)[1])
    (tmp_path / "elsewhere").write_bytes(place.read_bytes())
    place.unlink()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LayoutError, match="is missing"):
        layout.verify()


def test_a_layout_of_two_images_says_that_one_is_wanted(layout: Layout) -> None:
    other = image(layout, architecture="arm64")
    index = {"schemaVersion": 2, "manifests": [layout.root.to_json(), other.to_json()]}
    (layout.folder / "index.json").write_bytes(canonical(index))
    with pytest.raises(LayoutError, match="it holds 2 images instead of one"):
        _ = Layout.open(layout.folder).root


def test_indexes_nested_without_end_are_refused(layout: Layout) -> None:
    inner = layout.root
    for _ in range(6):
        inner = layout.add(canonical({"schemaVersion": 2, "manifests": [inner.to_json()]}), INDEX)
    with pytest.raises(LayoutError, match="nested more than 4 deep"):
        layout.finish(inner)


def test_an_archive_has_equal_bytes_wherever_the_layout_lies_and_gives_it_back(layout: Layout, tmp_path: Path) -> None:
    pack_layout(layout, tmp_path / "one.tar")
    back = unpack_layout(tmp_path / "one.tar", tmp_path / "elsewhere")
    assert back.roots == layout.roots
    back.verify()
    pack_layout(back, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        assert {(entry.mtime, entry.uid, entry.uname) for entry in tar} == {(0, 0, "")}


def archive_of(layout: Layout, place: Path, *more: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    pack_layout(layout, place)
    entries = []
    with tarfile.open(place) as tar:
        for entry in tar:
            stream = tar.extractfile(entry)
            entries.append((entry, stream.read() if stream else b""))
    with tarfile.open(place, mode) as tar:  # type: ignore[call-overload]  # the mode is a parameter
        for entry, data in [*entries, *more]:
            tar.addfile(entry, io.BytesIO(data))
    return place


def entry(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(data)
    return info, data


BLOB = "blobs/sha256/" + "0" * 64


@pytest.mark.parametrize(
    ("hostile", "why"),
    [
        (entry("../../outside", b"x"), "it holds '../../outside', which no layout has"),
        (entry("/outside", b"x"), "it holds '/outside'"),
        (entry("blobs/sha256/../../../outside", b"x"), "which no layout has"),
        (entry(BLOB, kind=tarfile.SYMTYPE, target="/etc/passwd"), "is no regular file"),
        (entry(BLOB, kind=tarfile.LNKTYPE, target="index.json"), "is no regular file"),
        (entry(BLOB, kind=tarfile.CHRTYPE), "is no regular file"),
        (entry(BLOB, kind=tarfile.FIFOTYPE), "is no regular file"),
        (entry(BLOB, kind=tarfile.GNUTYPE_SPARSE), "is no regular file"),
        (entry("blobs/sha512/x", b"x"), "which no layout has"),
        (entry(BLOB, b"other"), "have another digest"),
        (entry("index.json", b"{}"), "it holds 'index.json' twice"),
        (entry("evil", kind=tarfile.SYMTYPE, target="/"), "which no layout has"),
    ],
)
def test_a_hostile_archive_is_refused_and_nothing_is_written(
    layout: Layout, tmp_path: Path, hostile: tuple[tarfile.TarInfo, bytes], why: str
) -> None:
    place = archive_of(layout, tmp_path / "image.tar", hostile)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LayoutError) as caught:
        unpack_layout(place, tmp_path / "unpacked")
    assert "'image.tar' is refused as an archive of an image layout" in caught.value.what
    assert why in caught.value.what
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_that_is_too_large_compressed_or_cut_is_refused(layout: Layout, tmp_path: Path) -> None:
    place = archive_of(layout, tmp_path / "image.tar")
    with pytest.raises(LayoutError, match="it is too large"):
        unpack_layout(place, tmp_path / "unpacked", limit=100)
    zipped = archive_of(layout, tmp_path / "zipped.tar", mode="w:gz")
    with pytest.raises(LayoutError, match="it is no tar archive that can be read"):
        unpack_layout(zipped, tmp_path / "unpacked")
    place.write_bytes(place.read_bytes()[:1700])
    with pytest.raises(LayoutError, match="is refused as an archive"):
        unpack_layout(place, tmp_path / "unpacked")
    with pytest.raises(LayoutError, match=r"'none\.tar' is refused.*No such file"):
        unpack_layout(tmp_path / "none.tar", tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_what_the_builders_storage_called_the_base_does_not_reach_the_image(tmp_path: Path) -> None:
    digests = set()
    for name in ("FROM localhost/a:latest", "FROM 0123456789ab"):
        built = Layout.create(tmp_path / f"built-{len(digests)}-{name[-1]}")
        built = built.finish(image(built, comment=name))
        into = Layout.create(tmp_path / f"into-{len(digests)}-{name[-1]}")
        base = BaseImage("docker.io/library/debian:12", digest_of(b"base"))
        root = adopt(built, into, base, "linux/amd64")
        into.finish(root).verify()
        digests.add(root.digest)
        assert into.document(root)["annotations"] == {
            "kept": "yes",
            "org.opencontainers.image.base.digest": digest_of(b"base"),
            "org.opencontainers.image.base.name": "docker.io/library/debian:12",
        }
        assert "comment" not in json.dumps(into.document(into.children(root)[0]))
    assert len(digests) == 1
