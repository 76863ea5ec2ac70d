"""Step kind ``container.build``: builds an image, lists and scans what it is made of, and asks for its provenance."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field, model_validator

from assets.images import ImageBuildParams, describe_image_build, image_build_requires, run_image_build
from assets.sbom import SBOM_GENERATE
from assets.vulnerabilities import SCAN_VULNERABILITIES
from maestro.artifacts import Claim, StepRecord
from maestro.evidence.types import SLSA_PROVENANCE
from maestro.steps import PlanContext, Requirement, StepContext, StepKind, StepResult


class ContainerBuildParams(ImageBuildParams):
    """Parameters of ``container.build``: those of ``image.build``, and what is made of the image."""

    sbom: bool = Field(True, description="Lists what the image is made of, as `sbom.generate` does.")
    scan: bool = Field(True, description="Looks its components up among known vulnerabilities; needs `sbom`.")
    sign: bool = Field(True, description="Signs its provenance and what is found out about it.")

    @model_validator(mode="after")
    def _a_scan_needs_a_list(self) -> ContainerBuildParams:
        if self.scan and not self.sbom:
            if "scan" in self.model_fields_set:
                raise ValueError("'scan' looks up what 'sbom' lists, and 'sbom' is false")
            return self.model_copy(update={"scan": False})
        return self


def _run(context: StepContext, params: ContainerBuildParams) -> StepResult:
    image = run_image_build(context, params)
    if not image.passed:
        return image
    parts: dict[str, StepResult] = {"image": image}
    # The other kinds work on what steps before them left: here, on what this one has so far.
    records = {"image": _record(context, "image", image)}
    if params.sbom:
        parts["sbom"] = _part(context, "sbom", SBOM_GENERATE, records)
        records["sbom"] = _record(context, "sbom", parts["sbom"])
    if params.scan:
        parts["scan"] = _part(context, "scan", SCAN_VULNERABILITIES, {"sbom": records["sbom"]})
    claims = [claim for part in parts.values() for claim in part.claims]
    provenance = Claim("provenance", SLSA_PROVENANCE, tuple(image.subjects))
    return replace(
        image,
        passed=all(part.passed for part in parts.values()),
        summary="; ".join(part.summary for part in parts.values() if part.summary),
        outputs=[output for part in parts.values() for output in part.outputs],
        values=_merged(part.values for part in parts.values()),
        metadata=_merged(
            [
                {name if key == "image" else f"{key}: {name}": value for name, value in part.metadata.items()}
                for key, part in parts.items()
            ]
        ),
        claims=[*claims, provenance] if params.sign else [],
    )


def _part(context: StepContext, name: str, kind: StepKind[Any], records: Mapping[str, StepRecord]) -> StepResult:
    scratch = context.scratch / name
    scratch.mkdir()
    return kind.run(replace(context, scratch=scratch, records=dict(records)), kind.params())


def _record(context: StepContext, name: str, result: StepResult) -> StepRecord:
    """What this step has done so far, as the record of a step of its own; it is never kept."""
    run = context.env.get("MAESTRO_RUN_ID", "")
    return StepRecord(
        project="",
        workflow="",
        revision=context.revision,
        step=name,
        kind=f"container.build/{name}",
        kind_version="1",
        cache_key=None,
        passed=result.passed,
        summary=result.summary,
        outputs=tuple(
            context.artifacts.put_file(
                context.workspace / one.path, name=one.name, media_type=one.media_type, path=one.path
            )
            for one in result.outputs
        ),
        run_id=run,
        made_by_run=run,
        started=time.time(),
        seconds=0.0,
        cache="off",
        subjects=tuple(result.subjects),
        materials=tuple(result.materials),
        claims=tuple(result.claims),
    )


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


def _describe(params: ContainerBuildParams) -> str:
    further = [
        text
        for text, wanted in (
            ("lists what it is made of", params.sbom),
            ("looks for known vulnerabilities", params.scan),
            ("signs its provenance", params.sign),
        )
        if wanted
    ]
    return describe_image_build(params) + (f" Then {', '.join(further)}." if further else "")


def _requires(context: PlanContext, params: ContainerBuildParams) -> list[Requirement]:
    found = image_build_requires(context, params)
    if params.sbom:
        found += SBOM_GENERATE.requires(context, SBOM_GENERATE.params())
    if params.scan:
        found += SCAN_VULNERABILITIES.requires(context, SCAN_VULNERABILITIES.params())
    return found


CONTAINER_BUILD = StepKind(
    name="container.build",
    version="1",
    params=ContainerBuildParams,
    run=_run,
    summary="Builds an image, lists and scans what it is made of, and signs its provenance, in one step.",
    describe=_describe,
    requires=_requires,
    dagster_kinds=("docker", "sbom"),
    check="built_and_scanned",
    cached=lambda params: params.registry is None and not params.scan,
)
"""The short form of ``image.build``, ``sbom.generate``, ``scan.vulnerabilities`` and ``attest.provenance``."""
