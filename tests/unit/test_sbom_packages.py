"""Wheels and npm packages, and archives that mean harm."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from maestro.sbom import npm_packages
from maestro.sbom.archives import ArchiveLimits, unpack
from maestro.sbom.errors import SbomError
from maestro.sbom.normalise import ROOT_REF
from maestro.sbom.wheels import read_sdist, read_wheel, resolved, unresolved
from tests.unit.sbom_subjects import installed, wheel


def test_a_wheel_says_its_name_version_licence_and_package_url(tmp_path: Path) -> None:
    read = read_wheel(wheel(tmp_path / "a.whl", "My_Shop", "1.0", ["License-Expression: MIT OR ISC"]))
    root = read.root("ab" * 32)
    assert (root.name, root.version, root.purl, root.licenses) == (
        "My_Shop",
        "1.0",
        "pkg:pypi/my-shop@1.0",
        "MIT OR ISC",
    )


@pytest.mark.parametrize(
    ("metadata", "expression"),
    [
        (["License: MIT"], "MIT"),
        (["License: Apache License, Version 2.0"], "Apache-2.0"),
        (["Classifier: License :: OSI Approved :: ISC License (ISCL)"], "ISC"),
        (["License: UNKNOWN", "Classifier: License :: OSI Approved :: MIT License"], "MIT"),
        (["Classifier: License :: OSI Approved"], None),
        ([], None),
    ],
)
def test_older_ways_to_state_a_licence_are_understood(
    tmp_path: Path, metadata: list[str], expression: str | None
) -> None:
    assert read_wheel(wheel(tmp_path / "a.whl", metadata=metadata)).licenses == expression


def test_requirements_nobody_resolved_have_no_version(tmp_path: Path) -> None:
    metadata = ["Requires-Dist: Click>=8", "Requires-Dist: rich; extra == 'ui'", "Requires-Dist: rich>14; extra == 'x'"]
    found = unresolved(read_wheel(wheel(tmp_path / "a.whl", metadata=metadata)))
    assert [(one["purl"], one["scope"], "version" in one) for one in found.components] == [
        ("pkg:pypi/click", "required", False),
        ("pkg:pypi/rich", "optional", False),
    ]
    assert found.dependencies == [{"ref": ROOT_REF, "dependsOn": ["click", "rich"]}]


def test_with_an_environment_the_installed_versions_are_found_with_what_they_need_in_turn(tmp_path: Path) -> None:
    environment = tmp_path / ".venv"
    installed(environment, "click", "8.1", ["License-Expression: BSD-3-Clause", "Requires-Dist: colorama>=1"])
    installed(environment, "colorama", "0.4")
    installed(environment, "stranger", "9.9")
    installed(environment, "httpx", "0.28", ["Requires-Dist: h2; extra == 'http2'", "Requires-Dist: click"])
    installed(environment, "h2", "4.1")
    metadata = [
        "Requires-Dist: click",
        "Requires-Dist: httpx[http2]",
        "Requires-Dist: tomli; python_version < '3.11'",
        "Requires-Dist: absent",
    ]
    found, missing = resolved(read_wheel(wheel(tmp_path / "a.whl", metadata=metadata)), environment)
    assert {one["name"]: one.get("version") for one in found.components} == {
        "click": "8.1",
        "colorama": "0.4",
        "httpx": "0.28",
        "h2": "4.1",
        "absent": None,
    }
    assert missing == ("absent",)
    assert {one["ref"]: sorted(one["dependsOn"]) for one in found.dependencies} == {
        ROOT_REF: ["absent", "click", "httpx"],
        "click": ["colorama"],
        "httpx": ["click", "h2"],
    }


def test_requirements_that_go_in_a_circle_end(tmp_path: Path) -> None:
    installed(tmp_path / "env", "a", "1", ["Requires-Dist: b[x]"])
    installed(tmp_path / "env", "b", "1", ["Requires-Dist: a"])
    found, missing = resolved(read_wheel(wheel(tmp_path / "a.whl", metadata=["Requires-Dist: a"])), tmp_path / "env")
    assert [one["name"] for one in found.components] == ["a", "b"]
    assert missing == ()


def test_a_folder_that_is_no_environment_is_refused(tmp_path: Path) -> None:
    read = read_wheel(wheel(tmp_path / "a.whl"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(SbomError, match="'folder' is no virtual environment"):
        resolved(read, tmp_path / "folder")


def test_what_is_no_wheel_is_refused(tmp_path: Path) -> None:
    plain, empty = tmp_path / "plain.whl", tmp_path / "empty.whl"
    plain.write_text("no zip")
    zipfile.ZipFile(empty, "w").close()
    with pytest.raises(SbomError, match="this is no wheel"):
        read_wheel(plain)
    with pytest.raises(SbomError, match="has 0 METADATA files instead of one"):
        read_wheel(empty)
    with pytest.raises(SbomError, match="has a requirement that is none"):
        unresolved(read_wheel(wheel(tmp_path / "a.whl", metadata=["Requires-Dist: =>!"])))


def test_a_source_distribution_says_what_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "shop-1.0"
    folder.mkdir()
    folder.joinpath("PKG-INFO").write_text("Name: shop\nVersion: 1.0\nRequires-Dist: click\n\n")
    read = read_sdist(tmp_path)
    assert read is not None
    assert (read.name, read.version, read.requires) == ("shop", "1.0", ("click",))


def test_an_npm_package_says_what_it_is_and_needs(tmp_path: Path) -> None:
    about = {
        "name": "@shop/web",
        "version": "1.2.3",
        "license": "MIT",
        "dependencies": {"left-pad": "^1.0.0"},
        "optionalDependencies": {"@scope/fast": "2"},
        "devDependencies": {"jest": "29"},
    }
    (tmp_path / "package").mkdir()
    (tmp_path / "package/package.json").write_text(json.dumps(about))
    read = npm_packages.read_package(tmp_path)
    assert read is not None
    assert npm_packages.root_of(read, "ab").purl == "pkg:npm/%40shop/web@1.2.3"
    assert [(one["purl"], one["scope"]) for one in npm_packages.unresolved(read).components] == [
        ("pkg:npm/left-pad", "required"),
        ("pkg:npm/%40scope/fast", "optional"),
    ]


def tar(file: Path, *entries: tuple[str, bytes | str, bytes]) -> Path:
    """A tar archive of (name, kind or link target, content)."""
    with tarfile.open(file, "w:gz") as archive:
        for name, kind, content in entries:
            entry = tarfile.TarInfo(name)
            if isinstance(kind, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, kind
            else:
                entry.type, entry.size = kind, len(content)
            archive.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
    return file


def zipped(file: Path, name: str, mode: int = 0o100644, content: bytes = b"x") -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, content)
    return file


FILE = tarfile.REGTYPE


def test_plain_files_and_folders_are_unpacked(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tgz", ("package", tarfile.DIRTYPE, b""), ("package/a/b.txt", FILE, b"text"))
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/package/a/b.txt").read_bytes() == b"text"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("../evil", FILE, b"x")], "names '../evil', which lies outside"),
        ([("a/../../evil", FILE, b"x")], "lies outside"),
        ([("/etc/evil", FILE, b"x")], "lies outside"),
        ([("C:/evil", FILE, b"x")], "lies outside"),
        ([("..\\evil", FILE, b"x")], "lies outside"),
        ([("good", FILE, b"x"), ("link", "/etc/passwd", b"")], "'link' in it is a link"),
        ([("link", "..", b""), ("link/evil", FILE, b"x")], "'link' in it is a link"),
        ([("hard", tarfile.LNKTYPE, b"")], "'hard' in it is a link"),
        ([("device", tarfile.CHRTYPE, b"")], "no plain file"),
        ([("pipe", tarfile.FIFOTYPE, b"")], "no plain file"),
        ([("a", FILE, b"x"), ("a", FILE, b"y")], "cannot be unpacked"),
        ([("a", FILE, b"x"), ("a/b", FILE, b"y")], "cannot be unpacked"),
    ],
)
def test_hostile_tar_archives_are_refused_and_leave_nothing(
    tmp_path: Path, entries: list[tuple[str, bytes | str, bytes]], message: str
) -> None:
    archive = tar(tmp_path / "a.tgz", *entries)
    with pytest.raises(SbomError) as caught:
        unpack(archive, tmp_path / "out" / "here")
    assert message in caught.value.what
    assert caught.value.next_step
    assert list((tmp_path / "out").iterdir()) == []
    assert {one.name for one in tmp_path.iterdir()} == {"a.tgz", "out"}


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        ("../evil", 0o100644, "lies outside"),
        ("/evil", 0o100644, "lies outside"),
        ("link", 0o120777, "'link' in it is a link"),
    ],
)
def test_hostile_zip_archives_are_refused_and_leave_nothing(tmp_path: Path, name: str, mode: int, message: str) -> None:
    archive = zipped(tmp_path / "a.zip", name, mode)
    with pytest.raises(SbomError, match=message):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_unpacks_to_too_much_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "a.zip", "zeros", content=bytes(5_000_000))
    with pytest.raises(SbomError, match="unpacks to more than 1,000,000 bytes"):
        unpack(bomb, tmp_path / "out", ArchiveLimits(size=1_000_000))
    many = tar(tmp_path / "b.tgz", *((f"file-{number}", FILE, b"") for number in range(5)))
    with pytest.raises(SbomError, match="more than 4 entries"):
        unpack(many, tmp_path / "out", ArchiveLimits(members=4))
    assert not (tmp_path / "out").exists()


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    whole = tar(tmp_path / "a.tgz", ("a", FILE, bytes(range(256)) * 400))
    whole.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(SbomError, match="cannot be unpacked"):
        unpack(whole, tmp_path / "out")
    assert not (tmp_path / "out").exists()
