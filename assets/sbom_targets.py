"""What a step is about: subjects that steps before it delivered, or paths of the workspace."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets import places
from maestro.artifacts import Artifact, StepRecord, Subject
from maestro.errors import InputError
from maestro.steps import StepContext


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to look at.

    Args:
        name: how people name it; a path is relative to the workspace.
        subject: what claims are about; None for a folder, which has no digest: then it is the revision.
        place: a file or folder; for an image, the archive of its layout.
    """

    name: str
    subject: Subject | None
    place: Path

    @property
    def is_image(self) -> bool:
        """It is a container image."""
        media_type = (self.subject and self.subject.media_type) or ""
        return "image.manifest" in media_type or "image.index" in media_type or "manifest.list" in media_type


def targets(context: StepContext, of: Sequence[str]) -> list[Target]:
    """What ``of`` names: steps by id, or paths; everything the steps before this one delivered when it is empty.

    Raises:
        InputError: a name is neither, a step delivered nothing, or nothing is there at all.
    """
    if not of:
        found = [target for record in context.records.values() for target in _of_record(context, record)]
        if not found:
            raise InputError(
                "no step before this one delivers a package or an image",
                next_step="name a step or a path with 'of', and the step under 'depends_on'",
            )
        return _distinct(found)
    return _distinct([target for name in of for target in _named(context, name)])


def records_named(context: StepContext, name: str) -> list[StepRecord]:
    """The records of the step ``name`` means: its whole name or its id, with all cells of a matrix."""
    return [
        record
        for step, record in context.records.items()
        if name == step or name in step.split("/")[1:2] or step.startswith(f"{name}/")
    ]


def artifact_of(record: StepRecord, subject: Subject) -> Artifact | None:
    """The output of its step that holds the subject's bytes."""
    by_name = [one for one in record.outputs if one.name == subject.output]
    by_digest = [one for one in record.outputs if one.sha256 == subject.digest.get("sha256")]
    return next(iter([*by_name, *by_digest]), None)


def _named(context: StepContext, name: str) -> list[Target]:
    records = records_named(context, name)
    if records:
        found = [target for record in records for target in _of_record(context, record)]
        if not found:
            raise InputError(
                f"step '{name}' delivers no package, image or file", next_step="name another step, or a path, with 'of'"
            )
        return found
    place = places.inside(context.workspace, name, "of")
    if place.is_dir():
        return [Target(name, None, place)]
    if place.is_file():
        with place.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return [Target(name, Subject(places.relative(context.workspace, place), {"sha256": digest}), place)]
    raise InputError(
        f"'of' is '{name}', which is neither a step this one waits for nor a path in the workspace",
        next_step="name the step under 'depends_on', or correct the path",
    )


def _of_record(context: StepContext, record: StepRecord) -> Iterator[Target]:
    for subject in record.subjects:
        if subject.is_source:
            continue
        artifact = artifact_of(record, subject)
        if artifact is None:
            raise InputError(
                f"step '{record.step}' delivered '{subject.name}' but kept no bytes of it",
                next_step="keep it as an output of that step",
            )
        yield _fetched(context, subject, artifact)


def _fetched(context: StepContext, subject: Subject, artifact: Artifact) -> Target:
    digest = subject.digest["sha256"]
    name = Path(artifact.path or artifact.name).name
    # Two subjects may have one name: each lies in a folder of its own.
    place = context.scratch / "subjects" / digest[:16] / name
    context.artifacts.fetch(artifact, place)
    return Target(subject.name, subject, place)


def _distinct(found: Sequence[Target]) -> list[Target]:
    seen: dict[tuple[str, str], Target] = {}
    for target in found:
        digest = target.subject.digest["sha256"] if target.subject else ""
        seen.setdefault((target.name, digest), target)
    return list(seen.values())
