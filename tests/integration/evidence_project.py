"""A small project that was really run once, its evidence and all; each test has a copy of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maestro.artifacts import ArtifactStore
from maestro.project import Project
from tests import forked_maestro

WORKFLOW = """
    name: delivery
    project: shop
    stages:
      - name: build
        steps:
          - { id: make, run: shell, with: { command: "mkdir -p dist && printf app > dist/app.txt" }, outputs: [dist/app.txt] }
          - { id: app, run: artifact.put, with: { path: dist/app.txt, deliver: true }, depends_on: [make] }
      - name: check
        needs: [build]
        steps:
          - { id: unit, run: test.unit, with: { command: "cp unit.xml report.xml", report: report.xml } }
          - { id: prove, run: attest.provenance }
          - { id: secrets, run: scan.secrets }
      - name: release
        needs: [check]
        steps:
          - { id: gate, run: gate, with: { policy: supply_chain.release } }
          - { id: deploy, run: shell, with: { command: "cat dist/app.txt >> deployed.txt" }, effects: true, depends_on: [gate] }
    evidence: { require: [provenance, test-report, secrets] }
"""
PASSED = '<testsuite name="unit" tests="1"><testcase classname="a" name="adds"/></testsuite>\n'
FAILED = '<testsuite name="unit" tests="1"><testcase classname="a" name="adds"><failure/></testcase></testsuite>\n'


@dataclass(frozen=True)
class Delivered:
    """The project's folder, and the command line in it."""

    root: Path

    def run(self, *words: str, code: int = 0, cwd: Path | None = None) -> str:
        """What ``maestro`` says; of errors what it says on the other stream."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAESTRO_")}
        # A warm process of each copy would stay until its folder goes.
        environment = {**kept, "MAESTRO_ACTOR": "ann", "MAESTRO_WARM": "off"}
        done = forked_maestro.completed(*words, cwd=cwd or self.root, env=environment)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout or done.stderr

    def json(self, *words: str, code: int = 0) -> Any:
        """What ``maestro … --json`` says."""
        return json.loads(self.run(*words, "--json", code=code))

    def evidence(self, *words: str, code: int = 0) -> str:
        """What ``maestro evidence`` says."""
        return self.run("evidence", *words, code=code)

    @property
    def store(self) -> ArtifactStore:
        """Its artifact store, open to whoever can write there."""
        return ArtifactStore.open(str(self.home / "artifacts"))

    @property
    def home(self) -> Path:
        """Its state folder."""
        return Project.find(self.root).home

    @property
    def index(self) -> Path:
        """The folder of the index entries of its one revision."""
        [folder] = (self.home / "artifacts/evidence/revisions/shop").iterdir()
        return folder

    def entry(self, type_: str) -> Path:
        """The index entry of a type of evidence."""
        [found] = [one for one in self.index.iterdir() if json.loads(one.read_text())["type"] == type_]
        return found

    def bundle(self, type_: str) -> Path:
        """The file that holds a signed statement."""
        digest = json.loads(self.entry(type_).read_text())["bundle"]["sha256"]
        return Path(self.home, "artifacts/cas/sha256", digest[:2], digest[2:])

    def kinds(self) -> list[str]:
        """Kinds of all rows of the audit log."""
        return [one["kind"] for one in self.json("audit", "show", "--limit", "1000")["entries"]]

    def commit(self, message: str = "more") -> None:
        """Commits everything."""
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        for words in (["add", "-A"], [*identity, "commit", "-q", "-m", message]):
            subprocess.run(["git", *words], cwd=self.root, check=True)


def delivered(root: Path) -> Delivered:
    """The project made in ``root``, and run."""
    root.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    (root / "maestro.yaml").write_text(textwrap.dedent(WORKFLOW).lstrip(), encoding="utf-8")
    (root / ".gitignore").write_text("dist/\nreport.xml\ndeployed.txt\n", encoding="utf-8")
    (root / "unit.xml").write_text(PASSED, encoding="utf-8")
    project = Delivered(root)
    project.commit("first")
    project.run("run")
    return project


def copied(original: Delivered, root: Path) -> Delivered:
    """A copy, changed without consequences for others."""
    shutil.copytree(original.root, root, symlinks=True)
    return Delivered(root)


def change(file: Path, alter: Callable[[Any], Any]) -> None:
    """Changes a JSON file as somebody does who can write to the disk."""
    document = json.loads(file.read_text())
    alter(document)
    file.chmod(0o644)
    file.write_text(json.dumps(document))
