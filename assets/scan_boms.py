"""Finds the SBOMs a step is to scan, and what each of them describes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from assets import places
from assets.sbom_targets import records_named
from maestro.artifacts import Artifact, StepRecord, Subject
from maestro.errors import InputError, MaestroError
from maestro.steps import StepContext
from maestro.vulnerabilities.affected import subjects_of_sbom, targets
from maestro.vulnerabilities.component import Bom
from maestro.vulnerabilities.cyclonedx import MEDIA_TYPE, read_bom, read_bom_bytes
from maestro.vulnerabilities.report import Target


@dataclass(frozen=True, slots=True)
class ScannedBom:
    """One SBOM.

    Args:
        name: what it describes, or the file.
        bom: None when it could not be read.
        subjects: what evidence about it is about; empty when no step has delivered that.
        problem: why it could not be read.
        data: the document, for a scanner that is a program.
    """

    name: str
    bom: Bom | None
    subjects: tuple[Subject, ...]
    problem: str | None = None
    data: bytes = field(default=b"", repr=False)

    @property
    def digest(self) -> str:
        """Of its first subject, to tell equal names apart."""
        return next((one.digest["sha256"] for one in self.subjects if not one.is_source), "")

    @property
    def targets(self) -> list[Target]:
        """Its subjects as reports name them."""
        return targets(self.subjects)


def boms(context: StepContext, names: Sequence[str]) -> list[ScannedBom]:
    """The SBOMs ``names`` means: steps by id, or files of the workspace; all that steps before it made if empty.

    Raises:
        InputError: a name is neither, or the step has made no SBOM.
    """
    if not names:
        found = [one for record in context.records.values() for one in _of_record(context, record)]
    else:
        found = [one for name in names for one in _named(context, name)]
    unique: dict[str, ScannedBom] = {}
    for key, one in found:
        unique.setdefault(key, one)
    return list(unique.values())


def _named(context: StepContext, name: str) -> list[tuple[str, ScannedBom]]:
    records = records_named(context, name)
    if records:
        found = [one for record in records for one in _of_record(context, record)]
        if not found:
            raise InputError(
                f"step '{name}' has made no CycloneDX SBOM",
                next_step="name a step of kind sbom.generate, or a file, under 'sbom'",
            )
        return found
    place = places.inside(context.workspace, name, "sbom")
    if not place.is_file():
        raise InputError(
            f"'sbom' is '{name}', which is neither a step this one waits for nor a file",
            next_step="name the step under 'depends_on' too, or correct the path",
        )
    # Read first: too large a file is refused before all of it is in memory.
    bom, data = read_bom(place, name=name), place.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    subjects = [
        subject
        for record in context.records.values()
        for artifact in record.outputs
        if artifact.sha256 == sha256
        for subject in subjects_of_sbom(record, artifact)
    ]
    return [(sha256, ScannedBom(name, bom, tuple(subjects), data=data))]


def _of_record(context: StepContext, record: StepRecord) -> Iterator[tuple[str, ScannedBom]]:
    for artifact in record.outputs:
        if artifact.media_type == MEDIA_TYPE:
            yield artifact.sha256, _read(context, record, artifact)


def _read(context: StepContext, record: StepRecord, artifact: Artifact) -> ScannedBom:
    subjects = tuple(subjects_of_sbom(record, artifact))
    name = subjects[0].name if subjects else artifact.name
    try:
        data = context.artifacts.get_bytes(artifact.sha256)
        return ScannedBom(name, read_bom_bytes(data, artifact.name), subjects, data=data)
    except MaestroError as error:
        # Gone, corrupt or no SBOM: the scan did not take place, whatever the reason.
        return ScannedBom(name, None, subjects, error.what)
