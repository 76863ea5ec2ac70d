"""Packages, images and records of steps before, as steps about bills of materials meet them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from maestro.artifacts import ArtifactStore, Claim, StepRecord, Subject
from maestro.steps import StepKind, StepResult
from tests.unit.step_harness import Harness

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def wheel(
    file: Path,
    name: str = "shop",
    version: str = "1.0",
    metadata: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """Writes a wheel whose METADATA has these further lines."""
    info = f"{name}-{version}.dist-info"
    about = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *metadata, "", ""])
    content = {
        f"{name}/__init__.py": "",
        **(files or {}),
        f"{info}/METADATA": about,
        f"{info}/WHEEL": "Wheel-Version: 1.0\n",
    }
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in content.items():
            archive.writestr(zipfile.ZipInfo(path), text)
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "\n".join(f"{path},," for path in content))
    return file


def installed(environment: Path, name: str, version: str, metadata: Sequence[str] = ()) -> None:
    """Puts a distribution's metadata into a virtual environment."""
    environment.mkdir(parents=True, exist_ok=True)
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.2\n")
    info = environment / f"lib/python3.11/site-packages/{name}-{version}.dist-info"
    info.mkdir(parents=True)
    about = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *metadata, "", ""]
    info.joinpath("METADATA").write_text("\n".join(about))
    info.joinpath("RECORD").write_text(f"{info.name}/METADATA,,\n")


def layer(files: Mapping[str, str]) -> bytes:
    """A layer of an image."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def image(file: Path, platforms: Mapping[str, Sequence[bytes]]) -> Subject:
    """Writes the archive of an OCI image layout: an image for each platform, under an index when there are several."""
    blobs: dict[str, bytes] = {}

    def keep(data: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    manifests = []
    for platform, layers in platforms.items():
        system, architecture = platform.split("/")
        kept = [keep(one, "application/vnd.oci.image.layer.v1.tar") for one in layers]
        config = {
            "os": system,
            "architecture": architecture,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [one["digest"] for one in kept]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": keep(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": kept,
        }
        described = keep(json.dumps(manifest).encode(), MANIFEST)
        manifests.append({**described, "platform": {"os": system, "architecture": architecture}})
    root = manifests[0]
    if len(manifests) > 1:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        root = keep(json.dumps(index).encode(), INDEX)
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [root]}).encode(),
        **{f"blobs/sha256/{digest}": data for digest, data in blobs.items()},
    }
    with tarfile.open(file, "w") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return Subject(
        "localhost:5000/team/app", {"sha256": root["digest"].removeprefix("sha256:")}, None, root["mediaType"], "image"
    )


DEBIAN = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
    "var/lib/dpkg/status": "\n".join(
        [
            "Package: zlib1g",
            "Status: install ok installed",
            "Version: 1:1.2.13.dfsg-1",
            "Architecture: amd64",
            "Source: zlib",
            "",
            "Package: libc6",
            "Status: install ok installed",
            "Version: 2.36-9",
            "Architecture: amd64",
            "Source: glibc",
            "Depends: zlib1g",
            "",
            "",
        ]
    ),
}
"""Files of a small Debian system with two packages."""


class Steps:
    """Records of steps before, in the store the harness's steps see."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.store = ArtifactStore.open(str(harness.private / "store"))
        self.records: dict[str, StepRecord] = {}

    def add(
        self,
        step: str,
        files: Mapping[str, Path] | None = None,
        subjects: Sequence[Subject] = (),
        claims: Sequence[Claim] = (),
        media_type: str | None = None,
    ) -> StepRecord:
        """A step that left these files, by output name, and delivered these subjects."""
        outputs = tuple(
            self.store.put_file(file, name=name, path=file.name, media_type=media_type)
            for name, file in (files or {}).items()
        )
        record = StepRecord(
            project="shop",
            workflow="delivery",
            revision="0" * 40,
            step=step,
            kind="shell",
            kind_version="1",
            cache_key=None,
            passed=True,
            summary="",
            run_id="run",
            made_by_run="run",
            started=0.0,
            seconds=0.0,
            cache="off",
            outputs=outputs,
            subjects=tuple(subjects),
            claims=tuple(claims),
        )
        self.records[step] = record
        return record

    def add_file(self, step: str, file: Path) -> Subject:
        """A step that delivered one file."""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        subject = Subject(f"dist/{file.name}", {"sha256": digest}, output=file.name)
        self.add(step, {file.name: file}, [subject])
        return subject

    def run(self, kind: StepKind[Any], /, **params: Any) -> StepResult:
        """Runs a step after them."""
        after = replace(kind, run=lambda context, given: kind.run(replace(context, records=self.records), given))
        return self.harness.run(after, **params)
