"""Files a step delivers, as the subjects evidence is about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from maestro.artifacts import Subject
from maestro.steps import Output


def file_subjects(workspace: Path, outputs: Iterable[Output]) -> tuple[Subject, ...]:
    """A subject for each of ``outputs``: named by its path, with the digest of its bytes."""
    return tuple(
        Subject(
            name=output.path,
            digest={"sha256": _sha256(workspace / output.path)},
            media_type=output.media_type,
            output=output.name,
        )
        for output in outputs
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
