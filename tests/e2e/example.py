"""The deliberately vulnerable example: an image with an old template engine in it, its SBOM, scan, gate and deployment."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from maestro.artifacts import StepRecord
from tests.e2e.product import Ended, Product

FOLDER = Path(__file__).with_name("vulnerable")
FINDING = "GHSA-462w-v97r-4m45"
"""Of high severity and years old, so no grace is left; in every Jinja2 before 2.10.1."""
ALIAS = "CVE-2019-10906"
REASON = "no template of strangers is rendered"

_METADATA = "Metadata-Version: 2.1\nName: Jinja2\nVersion: {version}\nLicense: BSD-3-Clause\n"


@dataclass(frozen=True)
class Example(Product):
    """The example in a repository of its own.

    Args:
        ended: its last ``maestro run --json``.
    """

    ended: Ended | None = None

    def run(self, *arguments: str) -> Example:
        """The example after ``maestro run``, however that ended."""
        return Example(self.root, self.environment, self.maestro("run", "--json", *arguments))

    def keep(self) -> None:
        """Writes down beside it how its last run ended, for ``kept``."""
        assert self.ended is not None
        _told_in(self.root).write_text(json.dumps(asdict(self.ended)))

    @classmethod
    def kept(cls, root: Path) -> Example:
        """The example another process has run."""
        return cls(root, {}, Ended(**json.loads(_told_in(root).read_text())))

    def copy(self, root: Path) -> Example:
        """It all, with its history and all that was delivered, at another place."""
        root.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.root, root, symlinks=True)
        return Example(root, self.environment, self.ended)

    def vendor(self, version: str) -> str:
        """Puts this version of Jinja2 in place of the vendored one; the new commit."""
        shutil.rmtree(self.root / "vendor", ignore_errors=True)
        self.write({f"vendor/jinja2-{version}.dist-info/METADATA": _METADATA.format(version=version)})
        return self.commit()

    @property
    def last(self) -> dict[str, Any]:
        """What the last run told as JSON."""
        assert self.ended is not None
        assert self.ended.out, self.ended.text
        found: dict[str, Any] = self.ended.json()
        return found

    @property
    def revision(self) -> str:
        return str(self.last["revision"])

    def step(self, name: str) -> dict[str, Any]:
        """How a step of the last run ended."""
        found: dict[str, Any] = next(one for one in self.last["steps"] if one["step"] == name)
        return found

    def states(self) -> dict[str, str]:
        """Step -> state, of the last run."""
        return {one["step"]: one["state"] for one in self.last["steps"]}

    def record(self, step: str) -> StepRecord:
        """What a step of the last run left behind."""
        return self.records(self.last["run_id"])[step]

    def output(self, step: str, name: str) -> Any:
        """An output of a step of the last run, JSON."""
        found = next(one for one in self.record(step).outputs if one.name == name)
        return json.loads(self.store().get_bytes(found.sha256))

    @property
    def decision(self) -> dict[str, Any]:
        """What the gate of the last run decided."""
        found: dict[str, Any] = self.output("package/gate", "decision.json")
        return found

    @property
    def deployments(self) -> list[str]:
        """The revisions that were deployed, in order."""
        file = self.root / "deployed.txt"
        return file.read_text().split() if file.exists() else []

    def waive(self, expires: str, finding: str = ALIAS) -> str:
        """Lets the finding pass by Ada's word; the waiver's id."""
        words = ["--expires", expires, "--reason", REASON, "--approver", "Ada"]
        ended = self.maestro("waivers", "add", finding, *words)
        assert ended.code == 0, ended.text
        return ended.out.partition(":")[0]

    def audit(self, kind: str = "") -> list[dict[str, Any]]:
        """Rows of the audit log, oldest first."""
        chosen = ["--kind", kind] if kind else []
        found: list[dict[str, Any]] = self.maestro("audit", "show", "--json", "--limit", "1000", *chosen).json()[
            "entries"
        ]
        return found


def new_example(root: Path, files: dict[str, str] | None = None, environment: dict[str, str] | None = None) -> Example:
    """The example with Jinja2 2.10 and today's advisories, committed and never run.

    Args:
        files: put over its own.
    """
    shutil.copytree(FOLDER, root, ignore=shutil.ignore_patterns("__pycache__", "advisories"))
    example = Example(root, environment or {})
    example.git("init", "-q", "-b", "main")
    example.write(files or {})
    example.vendor("2.10")
    ended = example.maestro("vulns", "update", str(_advisories(root.parent / "advisories")))
    assert ended.code == 0, ended.text
    return example


def _told_in(root: Path) -> Path:
    return root.with_suffix(".ended.json")


def _advisories(folder: Path) -> Path:
    """The example's advisories, as a database that was brought up to date now."""
    folder.mkdir(parents=True)
    for file in (FOLDER / "advisories").iterdir():
        advisory = json.loads(file.read_text())
        advisory["modified"] = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        (folder / file.name).write_text(json.dumps(advisory))
    return folder
