"""Finds the bills of materials that steps before have made, and what each is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assets import places
from assets.sbom_targets import records_named
from maestro.artifacts import Artifact, StepRecord, Subject
from maestro.errors import InputError
from maestro.sbom import model
from maestro.steps import StepContext

# CycloneDX first: where a step left both, they say the same, and this one is read faster.
_MEDIA_TYPES = (model.CYCLONEDX_MEDIA_TYPE, model.SPDX_MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class SbomDocument:
    """One bill of materials.

    Args:
        name: what it is about, for people.
        subject: the same, for claims; None for the source.
        place: the file.
    """

    name: str
    subject: Subject | None
    place: Path


def sbom_documents(context: StepContext, of: Sequence[str]) -> list[SbomDocument]:
    """The bills of materials ``of`` names: steps by id, or paths; those of all steps before when it is empty.

    Raises:
        InputError: a name is neither, or there are none.
    """
    if not of:
        found = [one for record in context.records.values() for one in _of_record(context, record)]
        if not found:
            raise InputError(
                "no step before this one has made a bill of materials",
                next_step="put a step with `run: sbom.generate` before it, and name it under 'depends_on'",
            )
        return found
    return [one for name in of for one in _named(context, name)]


def _named(context: StepContext, name: str) -> list[SbomDocument]:
    records = records_named(context, name)
    if not records:
        place = places.inside(context.workspace, name, "of")
        if not place.is_file():
            raise InputError(
                f"'of' is '{name}', which is neither a step this one waits for nor a file in the workspace",
                next_step="name the step under 'depends_on', or correct the path",
            )
        return [SbomDocument(name, None, place)]
    found = [one for record in records for one in _of_record(context, record)]
    if not found:
        raise InputError(
            f"step '{name}' has made no bill of materials", next_step="name a step that runs sbom.generate"
        )
    return found


def _of_record(context: StepContext, record: StepRecord) -> list[SbomDocument]:
    chosen: dict[str, SbomDocument] = {}
    outputs = {one.name: one for one in record.outputs}
    for media_type in _MEDIA_TYPES:
        for claim in record.claims:
            artifact = outputs.get(claim.output or "")
            if claim.type != "sbom" or artifact is None or artifact.media_type != media_type:
                continue
            for subject in claim.subjects or (None,):
                key = "" if subject is None else str(sorted(subject.digest.items()))
                if key not in chosen:
                    name = "source" if subject is None else subject.name
                    chosen[key] = SbomDocument(name, subject, _fetched(context, artifact))
    return list(chosen.values())


def _fetched(context: StepContext, artifact: Artifact) -> Path:
    place = context.scratch / "sboms" / f"{artifact.sha256}.json"
    context.artifacts.fetch(artifact, place)
    return place
