"""``maestro evidence diff`` over revisions: from signed evidence, and only from what verifies."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from maestro.sbom.reading import read_sbom
from tests import forked_maestro
from tests.integration.delivery import IDENTITY
from tests.unit.sbom_subjects import wheel

_WORKFLOW = """\
version: 1
name: delivery
stages:
  - name: package
    steps:
      - { id: sbom, run: sbom.generate, with: { of: dist/shop-1.0-py3-none-any.whl } }
"""


def maestro(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forked_maestro.completed(*arguments, cwd=folder)


def commit(folder: Path, *requirements: str) -> str:
    """A revision whose wheel needs these, delivered; its id."""
    (folder / "dist").mkdir(exist_ok=True)
    metadata = [f"Requires-Dist: {one}" for one in requirements]
    wheel(folder / "dist/shop-1.0-py3-none-any.whl", metadata=metadata)
    environ = {**os.environ, **IDENTITY}
    for argv in (["add", "-A"], ["commit", "-qm", "a revision"]):
        subprocess.run(["git", *argv], cwd=folder, env=environ, check=True)
    done = maestro(folder, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
    return head.stdout.strip()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A project with two delivered revisions."""
    folder = tmp_path_factory.mktemp("project")
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
    (folder / "maestro.yaml").write_text(_WORKFLOW)
    return folder, commit(folder, "click"), commit(folder, "rich")


def test_two_revisions_are_compared_by_their_signed_evidence(project: tuple[Path, str, str]) -> None:
    folder, before, after = project
    done = maestro(folder, "evidence", "diff", before, after, "--json")
    assert done.returncode == 0, done.stderr
    (subject,) = json.loads(done.stdout)["subjects"]
    assert subject["name"] == "shop"
    assert [one["name"] for one in subject["added"]] == ["rich"]
    assert [one["name"] for one in subject["removed"]] == ["click"]


def test_without_the_second_it_is_the_revision_checked_out(project: tuple[Path, str, str]) -> None:
    folder, before, _ = project
    assert "1 added, 1 removed" in maestro(folder, "evidence", "diff", before).stdout


def test_a_revision_without_evidence_is_refused_with_what_to_do(project: tuple[Path, str, str]) -> None:
    folder, before, _ = project
    environ = {**os.environ, **IDENTITY}
    subprocess.run(["git", "commit", "-qm", "undelivered", "--allow-empty"], cwd=folder, env=environ, check=True)
    done = maestro(folder, "evidence", "diff", before)
    assert done.returncode == 2
    assert "has no signed SBOM in CycloneDX" in done.stderr
    assert "sbom.generate" in done.stderr


def test_a_document_and_a_revision_can_be_compared(project: tuple[Path, str, str], tmp_path: Path) -> None:
    folder, _, after = project
    file = tmp_path / "empty.cdx.json"
    file.write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}))
    assert read_sbom(file).components == ()
    assert "1 added, 0 removed" in maestro(folder, "evidence", "diff", str(file), after).stdout


def test_evidence_that_was_tampered_with_is_not_compared(project: tuple[Path, str, str]) -> None:
    folder, before, after = project
    shown = json.loads(maestro(folder, "evidence", "show", before, "--json").stdout)["evidence"]
    for one in shown:
        digest = one["bundle"].removeprefix("sha256:")
        (bundle,) = folder.glob(f".maestro/**/cas/sha256/{digest[:2]}/{digest[2:]}")
        bundle.chmod(0o600)
        bundle.write_bytes(bundle.read_bytes().replace(b"payload", b"pay1oad"))
    done = maestro(folder, "evidence", "diff", before, after)
    assert done.returncode == 2
    assert "does not verify" in done.stderr
