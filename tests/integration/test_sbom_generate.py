"""Bills of materials made by the real syft."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from assets.sbom import SBOM_GENERATE
from maestro.artifacts import Subject
from maestro.errors import MaestroError
from maestro.oci.archive import pack_layout
from maestro.oci.layout import Layout
from maestro.sbom.model import Sbom
from maestro.sbom.reading import read_sbom
from maestro.steps import StepResult
from tests.unit.sbom_subjects import DEBIAN, MANIFEST, Steps, image, installed, layer, wheel
from tests.unit.step_harness import harness

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return another(tmp_path, "first")


def another(tmp_path: Path, name: str) -> Steps:
    """Steps in a folder of their own, so that every path is another."""
    folder = tmp_path / name
    folder.mkdir()
    return Steps(harness(folder))


def documents(steps: Steps, result: StepResult) -> list[bytes]:
    return [(steps.harness.workspace / one.path).read_bytes() for one in result.outputs]


def made(steps: Steps, **params: Any) -> Sbom:
    """What both formats say, after independent programs have found them valid."""
    result = steps.run(SBOM_GENERATE, **params)
    cyclonedx, spdx = (steps.harness.workspace / one.path for one in result.outputs)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(cyclonedx.read_text()) is None
    assert validate_full_spdx_document(parse_file(str(spdx))) == []
    read, other = read_sbom(cyclonedx), read_sbom(spdx)
    assert sorted(map(str, read.components)) == sorted(map(str, other.components))
    assert read.subject == other.subject
    return read


def found(sbom: Sbom) -> set[tuple[str, str | None]]:
    return {(one.name, one.version) for one in sbom.components}


def test_an_image_that_buildah_built_is_described_by_what_is_installed_in_it(steps: Steps, tmp_path: Path) -> None:
    subject = built(tmp_path)
    steps.add("package/image", {"image": tmp_path / "image.tar"}, [subject])
    sbom = made(steps)
    assert found(sbom) == {("debian", "12"), ("zlib1g", "1:1.2.13.dfsg-1"), ("libc6", "2.36-9"), ("six", "1.16.0")}
    assert sbom.subject is not None
    assert sbom.subject.purl == (
        f"pkg:oci/app@sha256:{subject.digest['sha256']}?repository_url=localhost:5000/team/app"
    )
    assert {one.licenses for one in sbom.components if one.name == "six"} == {"MIT"}


def built(tmp_path: Path) -> Subject:
    """An image with a small Debian and a Python package, and its layout as an archive."""
    context = tmp_path / "context"
    files = {
        **DEBIAN,
        "usr/lib/python3/dist-packages/six-1.16.0.dist-info/METADATA": "Name: six\nVersion: 1.16.0\nLicense: MIT\n",
    }
    for path, text in files.items():
        place = context / "root" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (context / "Containerfile").write_text("FROM scratch\nCOPY root/ /\n")
    storage = ["--storage-driver", "vfs", "--root", str(tmp_path / "storage"), "--runroot", str(tmp_path / "run")]
    layout = tmp_path / "layout"
    for argv in (
        [
            "bud",
            "--isolation",
            "chroot",
            "--timestamp",
            "0",
            "-t",
            "app",
            "-f",
            str(context / "Containerfile"),
            str(context),
        ],
        ["push", "--format", "oci", "app", f"oci:{layout}:app"],
    ):
        done = subprocess.run(["buildah", *storage, *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    read = Layout.open(layout)
    pack_layout(read, tmp_path / "image.tar")
    return Subject("localhost:5000/team/app", {"sha256": read.root.hex}, None, MANIFEST, "image")


def test_an_image_for_several_platforms_is_one_document(steps: Steps, tmp_path: Path) -> None:
    arm = {path: text.replace("amd64", "arm64") for path, text in DEBIAN.items()}
    subject = image(tmp_path / "image.tar", {"linux/amd64": [layer(DEBIAN)], "linux/arm64": [layer(arm)]})
    steps.add("package/image", {"image": tmp_path / "image.tar"}, [subject])
    urls = [one.purl or "" for one in made(steps).components]
    assert sum("arch=amd64" in url for url in urls) == sum("arch=arm64" in url for url in urls) == 2
    assert len(urls) == 5


def test_two_runs_on_an_image_layout_give_the_same_bytes(steps: Steps, tmp_path: Path) -> None:
    subject = image(tmp_path / "image.tar", {"linux/amd64": [layer(DEBIAN)]})
    written = []
    for one in (steps, another(tmp_path, "second")):
        one.add("package/image", {"image": tmp_path / "image.tar"}, [subject])
        written.append(documents(one, one.run(SBOM_GENERATE)))
    assert written[0] == written[1]
    assert len(written[0]) == 2


def test_two_runs_on_a_wheel_and_its_environment_give_the_same_bytes(steps: Steps, tmp_path: Path) -> None:
    files = {"shop/_vendor/six-1.16.0.dist-info/METADATA": "Name: six\nVersion: 1.16.0\nLicense: MIT\n"}
    package = wheel(tmp_path / "shop-1.0-py3-none-any.whl", metadata=["Requires-Dist: click"], files=files)
    written = []
    for one in (steps, another(tmp_path, "second")):
        one.add_file("build/wheel", package)
        installed(one.harness.workspace / ".venv", "click", "8.1", ["License-Expression: BSD-3-Clause"])
        written.append(documents(one, one.run(SBOM_GENERATE, environment=".venv")))
        assert found(read_sbom(written[-1][0])) == {("click", "8.1"), ("six", "1.16.0")}
    assert written[0] == written[1]


def test_two_runs_on_an_environment_give_the_same_bytes_without_a_path_of_the_machine(
    steps: Steps, tmp_path: Path
) -> None:
    written = []
    for one in (steps, another(tmp_path, "second")):
        for name in ("click", "rich", "six"):
            installed(one.harness.workspace / ".venv", name, "1.0", ["Author: somebody", "License: MIT"])
        written.append(documents(one, one.run(SBOM_GENERATE, of=".venv")))
    assert written[0] == written[1]
    assert str(tmp_path).encode() not in written[0][0]


def test_this_repositorys_own_wheel_lists_what_it_needs_as_installed(steps: Steps, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = (tmp_path / "dist").glob("*.whl")
    steps.add_file("build/wheel", package)
    for name in ("click", "pydantic"):
        installed(steps.harness.workspace / "environment", name, "99.0")
    sbom = made(steps, environment="environment")
    assert sbom.subject is not None
    assert sbom.subject.name == "maestro-conductor"
    assert {("click", "99.0"), ("pydantic", "99.0"), ("dagster", None)} <= found(sbom)


def test_node_modules_are_described_by_the_packages_in_them(steps: Steps) -> None:
    about = {"name": "left-pad", "version": "1.3.0", "license": "WTFPL"}
    scoped = {"name": "@scope/inner", "version": "2.0.0", "license": "MIT"}
    steps.harness.write(
        {
            "node_modules/left-pad/package.json": json.dumps(about),
            "node_modules/@scope/inner/package.json": json.dumps(scoped),
        }
    )
    sbom = made(steps, of="node_modules")
    assert {(one.name, one.purl, one.licenses) for one in sbom.components} == {
        ("left-pad", "pkg:npm/left-pad@1.3.0", "WTFPL"),
        ("@scope/inner", "pkg:npm/%40scope/inner@2.0.0", "MIT"),
    }


def test_a_source_folder_is_described_by_its_lock_files_and_not_by_what_lies_about(steps: Steps) -> None:
    lock = {
        "name": "web",
        "lockfileVersion": 3,
        "packages": {"": {"name": "web"}, "node_modules/left-pad": {"version": "1.3.0"}},
    }
    stray = json.dumps({"name": "stray", "lockfileVersion": 3, "packages": {"node_modules/stray": {"version": "1"}}})
    steps.harness.write(
        {
            "requirements.txt": "click==8.1.0\nloose>=1\n",
            "web/package-lock.json": json.dumps(lock),
            "web/node_modules/stray/package-lock.json": stray,
            ".maestro/cache/requirements.txt": "stray==1.0\n",
            ".github/workflows/ci.yml": "jobs: {a: {steps: [{uses: actions/checkout@v4}]}}\n",
        }
    )
    # The project itself stands in its lock file too, without a version.
    assert found(made(steps, of=".")) == {("click", "8.1.0"), ("left-pad", "1.3.0"), ("web", None)}


def test_an_npm_package_is_described_by_what_it_needs_and_what_it_bundles(steps: Steps, tmp_path: Path) -> None:
    package = tmp_path / "web-1.0.0.tgz"
    about = {"name": "web", "version": "1.0.0", "license": "MIT", "dependencies": {"left-pad": "^1.0.0"}}
    files = {
        "package/package.json": json.dumps(about),
        "package/node_modules/bundled/package.json": json.dumps({"name": "bundled", "version": "3.0.0"}),
    }
    with tarfile.open(package, "w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    steps.add_file("build/web", package)
    sbom = made(steps)
    assert found(sbom) == {("left-pad", None), ("bundled", "3.0.0")}
    assert sbom.subject is not None
    assert sbom.subject.purl == "pkg:npm/web@1.0.0"


def test_a_java_archive_is_read_as_it_is(steps: Steps, tmp_path: Path) -> None:
    package = tmp_path / "app-1.0.jar"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(
            "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nImplementation-Title: app\nImplementation-Version: 1.0\n"
        )
        archive.writestr(
            "META-INF/maven/org.example/inner/pom.properties", "groupId=org.example\nartifactId=inner\nversion=2.0\n"
        )
    steps.add_file("build/app", package)
    assert any(name.endswith("inner") and version == "2.0" for name, version in found(made(steps)))


def test_an_image_layout_with_a_tampered_layer_is_refused(steps: Steps, tmp_path: Path) -> None:
    whole = image(tmp_path / "image.tar", {"linux/amd64": [layer(DEBIAN)]})
    archive = tmp_path / "image.tar"
    archive.write_bytes(archive.read_bytes().replace(b"2.36-9", b"2.99-9"))
    steps.add("package/image", {"image": archive}, [whole])
    with pytest.raises(MaestroError, match="have another digest"):
        steps.run(SBOM_GENERATE)
    assert list(steps.harness.workspace.iterdir()) == []
