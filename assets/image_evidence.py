"""Step kind ``attest.attach``: attaches the signed bundles of the steps before it to the images they are about."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from assets.registry_access import RegistryAccess
from maestro.oci.attach import attach_bundle
from maestro.oci.reference import Reference
from maestro.signing import parse_bundle, parse_statement, verify_bundle
from maestro.steps import BaseParams, StepContext, StepKind, StepResult


class AttachParams(BaseParams):
    """Parameters of ``attest.attach``."""

    cosign: bool = Field(True, description="Writes the tag cosign 2 looks for as well.")
    auth: str | None = Field(None, min_length=1, description="Secret of the step that holds an auth file.")


def _run(context: StepContext, params: AttachParams) -> StepResult:
    images = _images(context)
    if not images:
        summary = "no step before this one has pushed an image"
        return StepResult(passed=False, summary=summary)
    access = RegistryAccess(context, params.auth)
    rows, fresh = [], 0
    for name, data, predicate_type, digests in _bundles(context):
        for image in (one for digest in digests for one in images.get(digest, ())):
            with access.registry(image.registry) as registry:
                done = attach_bundle(registry, image, data, predicate_type, cosign=params.cosign)
            fresh += done.new
            rows.append({"image": image.name, "type": name, "manifest": done.referrer, "new": done.new})
    if not rows:
        return StepResult(passed=False, summary="no step before this one has signed anything about an image")
    return StepResult(
        summary=f"{len(rows)} {'bundle' if len(rows) == 1 else 'bundles'} attached, {fresh} of them new",
        metadata={"bundles": len(rows), "new": fresh, "attached": rows},
    )


def _images(context: StepContext) -> dict[str, list[Reference]]:
    """Digest (hexadecimal) -> where images with it have been pushed to."""
    found: dict[str, list[Reference]] = {}
    for record in context.records.values():
        for subject in record.subjects:
            if subject.uri and subject.uri.startswith("docker://"):
                image = Reference.parse(subject.uri)
                if image not in found.setdefault(subject.digest["sha256"], []):
                    found[subject.digest["sha256"]].append(image)
    return found


def _bundles(context: StepContext) -> Iterator[tuple[str, bytes, str, list[str]]]:
    """Evidence type, bundle, predicate type and the subjects' digests of everything signed before; verified."""
    for record in context.records.values():
        for artifact in record.evidence:
            data = context.artifacts.get_bytes(artifact.sha256)
            if context.evidence is not None:
                statement = verify_bundle(data, context.evidence.trust).statement
            else:
                statement = parse_statement(parse_bundle(data).payload)
            digests = list(dict.fromkeys(one.digest["sha256"] for one in statement.subjects if "sha256" in one.digest))
            yield artifact.name, data, statement.predicate_type, digests


ATTEST_ATTACH = StepKind(
    name="attest.attach",
    version="1",
    params=AttachParams,
    run=_run,
    summary="Attaches signed evidence to the images it is about, as OCI referrers and for cosign.",
    describe=lambda _params: "Attaches the evidence of the steps before it to the images they pushed.",
    dagster_kinds=("attestation",),
    cached=lambda _params: False,
)
