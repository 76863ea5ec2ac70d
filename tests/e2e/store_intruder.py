"""Somebody who can write to the artifact store's folder, and knows its formats: what they could do between two runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maestro.artifacts import Artifact, StepRecord, keys
from maestro.artifacts.records import decode, encode
from tests.e2e.example import Example


@dataclass(frozen=True)
class Intruder:
    """Changes what an example has in its store.

    Args:
        example: whose store.
        project: by its name in the workflow.
    """

    example: Example
    project: str = "app"

    @property
    def folder(self) -> Path:
        return self.example.project.home / "artifacts"

    def bytes_of(self, artifact: Artifact) -> Path:
        """The file that holds an artifact."""
        return self.folder / keys.cas(artifact.sha256)

    def record_file(self, step: str, revision: str) -> Path:
        """What the step last did for the revision: what a later run works with."""
        return self.folder / keys.revision_step(self.project, revision, step)

    def record(self, step: str, revision: str) -> StepRecord:
        return decode(self.record_file(step, revision).read_bytes())

    def change_record(self, step: str, revision: str, change: Callable[[StepRecord], StepRecord]) -> None:
        """Changes a record; its own digest fits again."""
        file = self.record_file(step, revision)
        overwrite(file, encode(change(decode(file.read_bytes()))))

    def index_files(self, revision: str) -> list[Path]:
        """The entries of the evidence index."""
        return sorted((self.folder / keys.evidence_of_revision(self.project, revision)).iterdir())


def overwrite(file: Path, data: bytes) -> None:
    """Replaces a file that may be read-only."""
    file.chmod(0o644)
    file.write_bytes(data)


def output(record: StepRecord, name: str) -> Artifact:
    """An output of a record by its name."""
    return next(one for one in record.outputs if one.name == name)
