"""Which revisions a vulnerability is in: by the reports kept for each, or by looking their SBOMs up anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from maestro.artifacts import Artifact, ArtifactMissingError, CorruptArtifactError, RecordStore, StepRecord, Subject
from maestro.vulnerabilities import cyclonedx, report
from maestro.vulnerabilities.cyclonedx import read_bom_bytes
from maestro.vulnerabilities.database import AdvisoryDatabase
from maestro.vulnerabilities.errors import ReportError, SbomError
from maestro.vulnerabilities.report import Finding, Report, Target
from maestro.vulnerabilities.scan import ScanOptions, scan

_NEVER = "what it delivered was never scanned"
_IMAGE = ("application/vnd.oci.image.", "application/vnd.docker.distribution.")


@dataclass(frozen=True, slots=True)
class Place:
    """A revision that has the vulnerability, or of which it cannot be said.

    Args:
        step: whose report, or whose SBOM, says so.
        findings: with the vulnerability; empty when ``unknown``.
        images: references by digest of the images it is in.
        subjects: every subject it is in, ``name@sha256:…``.
        environments: where the revision was let through to.
        unknown: why it cannot be said; None: it is there.
    """

    revision: str
    step: str
    findings: tuple[Finding, ...] = ()
    images: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    unknown: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        return {
            "revision": self.revision,
            "step": self.step,
            "packages": sorted({f"{one.package} {one.version}" for one in self.findings}),
            "counts": any(one.counts for one in self.findings),
            "severity": self.findings[0].severity if self.findings else None,
            "fixed": sorted({version for one in self.findings for version in one.fixed}),
            "images": list(self.images),
            "subjects": list(self.subjects),
            "environments": list(self.environments),
            "unknown": self.unknown,
        }


def affected(
    records: RecordStore,
    project: str,
    identifier: str,
    *,
    database: AdvisoryDatabase | None = None,
    now: datetime | None = None,
) -> Iterator[Place]:
    """The revisions of ``project`` with the vulnerability ``identifier``, and those of which it cannot be said.

    Args:
        identifier: CVE, GHSA or any other id an advisory or its aliases have, in any case.
        database: look up each kept SBOM in it; None: go by the reports as they were written.
    """
    wanted = identifier.strip().upper()
    for revision in records.revisions(project):
        steps = records.steps_of_revision(project, revision)
        environments = tuple(sorted(set(_environments(steps))))
        subjects = {
            f"sha256:{one.digest['sha256']}": one for step in steps for one in step.subjects if not one.is_source
        }
        looked = False
        for step, artifact, made in _reports(records, steps, database, now):
            looked = True
            if isinstance(made, str):
                yield Place(revision, step.step, environments=environments, unknown=f"{artifact.name}: {made}")
                continue
            found = tuple(one for one in made.findings if wanted in {each.upper() for each in one.ids})
            images = tuple(_images(made.subjects, subjects))
            named = tuple(f"{one.name}@{one.digest}" for one in made.subjects)
            if found:
                yield Place(revision, step.step, found, images, named, environments)
            elif made.state == "not_scanned":
                why = made.reason or "it was not scanned"
                yield Place(revision, step.step, (), images, named, environments, unknown=why)
        if subjects and not looked:
            names = tuple(f"{one.name}@{digest}" for digest, one in subjects.items())
            yield Place(
                revision, next(step.step for step in steps if step.subjects), (), (), names, environments, _NEVER
            )


def _reports(
    records: RecordStore, steps: Iterable[StepRecord], database: AdvisoryDatabase | None, now: datetime | None
) -> Iterator[tuple[StepRecord, Artifact, Report | str]]:
    """Reports of a revision, or why there is none where one should be."""
    wanted = report.MEDIA_TYPE if database is None else cyclonedx.MEDIA_TYPE
    for step in steps:
        for artifact in step.outputs:
            if artifact.media_type != wanted:
                continue
            try:
                data = records.store.get_bytes(artifact.sha256)
                if database is None:
                    yield step, artifact, Report.from_bytes(data)
                else:
                    bom = read_bom_bytes(data, artifact.name)
                    yield step, artifact, scan(bom, database, ScanOptions(now=now), subjects=_about(step, artifact))
            except (ArtifactMissingError, CorruptArtifactError, ReportError, SbomError) as error:
                yield step, artifact, error.what


def _about(step: StepRecord, artifact: Artifact) -> list[Target]:
    return targets(subjects_of_sbom(step, artifact))


def subjects_of_sbom(record: StepRecord, artifact: Artifact) -> list[Subject]:
    """What the SBOM ``artifact`` describes: subjects of the claims ``record`` makes with it, else its own."""
    claimed = [one for claim in record.claims if claim.output == artifact.name for one in claim.subjects]
    every = claimed or [one for claim in record.claims if claim.type == "sbom" for one in claim.subjects]
    unique = {tuple(sorted(one.digest.items())): one for one in every or record.subjects}
    return list(unique.values())


def targets(subjects: Iterable[Subject]) -> list[Target]:
    """Subjects as reports name them; a revision of the source has no digest of its own kind there."""
    return [Target(one.name, f"sha256:{one.digest['sha256']}") for one in subjects if not one.is_source]


def _images(found: Iterable[Target], subjects: dict[str, Subject]) -> Iterator[str]:
    for one in found:
        subject = subjects.get(one.digest)
        if subject is not None and (subject.media_type or "").startswith(_IMAGE):
            yield subject.uri or f"{one.name}@{one.digest}"


def _environments(steps: Iterable[StepRecord]) -> Iterator[str]:
    """Environments a gate let the revision through to, or a step brought it to."""
    for step in steps:
        for values in (step.values, step.metadata):
            name = values.get("environment")
            if step.passed and isinstance(name, str) and name:
                yield name
