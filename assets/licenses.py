"""Step kind ``scan.licenses``: the licences of what something is made of, against those a project allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from assets.sbom_documents import SbomDocument, sbom_documents
from assets.step_reports import slugs, write_report
from maestro.artifacts import Claim
from maestro.licenses import report as licenses
from maestro.licenses.allowance import Allowance
from maestro.licenses.report import LicenseReport
from maestro.sbom.libraries import check_libraries
from maestro.sbom.model import license_counts
from maestro.sbom.reading import read_sbom
from maestro.steps import BaseParams, Output, PlanContext, Requirement, StepContext, StepKind, StepResult

_TOP = 10
_MOST_ROWS = 100


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class LicensesParams(BaseParams):
    """Parameters of ``scan.licenses``."""

    allowed: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        min_length=1, description="SPDX expressions: licences, with their exceptions, that may be used."
    )
    allow_unknown: bool = Field(False, description="Allows components whose licence nobody knows.")
    of: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        default_factory=list,
        description="Steps that made bills of materials, or paths of some; all steps before when not given.",
    )
    enforce: bool = Field(True, description="False: what is not allowed is reported, and a gate decides.")


def _run(context: StepContext, params: LicensesParams) -> StepResult:
    allowance = Allowance.of(params.allowed, unknown=params.allow_unknown)
    documents = sbom_documents(context, params.of)
    sboms = [read_sbom(one.place) for one in documents]
    reports = [
        licenses.check(_about(document), (one.to_json() for one in sbom.components), allowance)
        for document, sbom in zip(documents, sboms, strict=True)
    ]
    names = ["licenses.json"]
    if len(reports) > 1:
        digests = ((one.name, _about(one)[1] or "") for one in documents)
        names = [f"{slug}.licenses.json" for slug in slugs(digests)]
    outputs, claims = [], []
    for name, document, report in zip(names, documents, reports, strict=True):
        outputs.append(
            Output(name, write_report(context, "scan.licenses", name, report.encoded()), licenses.MEDIA_TYPE)
        )
        subjects = (document.subject,) if document.subject else ()
        claims.append(Claim("licenses", licenses.PREDICATE, subjects, predicate=report.predicate(), report=name))
    violations = [one for report in reports for one in report.violations]
    counts = license_counts(tuple(component for sbom in sboms for component in sbom.components))
    failed = any(one.state != "clean" for one in reports)
    return StepResult(
        passed=not (failed and params.enforce),
        summary=_summary(reports),
        outputs=outputs,
        values={"violations": len(violations)},
        metadata={
            "components": sum(len(one.components) for one in reports),
            "violations": len(violations),
            "licenses": [{"license": name, "components": number} for name, number in list(counts.items())[:_TOP]],
            **({"not allowed": [_row(one) for one in violations[:_MOST_ROWS]]} if violations else {}),
        },
        claims=claims,
    )


def _about(document: SbomDocument) -> tuple[str, str | None]:
    if document.subject is None:
        return document.name, None
    digest = document.subject.digest
    algorithm = "sha256" if "sha256" in digest else min(digest)
    return document.name, f"{algorithm}:{digest[algorithm]}"


def _row(violation: Any) -> dict[str, str]:
    return {
        "name": violation["name"],
        "version": violation["version"] or "",
        "license": violation["license"] or "unknown",
        "why": violation["reason"] or "",
    }


def _summary(reports: Sequence[LicenseReport]) -> str:
    count = sum(len(one.components) for one in reports)
    found = [one for report in reports for one in report.violations]
    if not found:
        return f"all licences of {count:,} {'component' if count == 1 else 'components'} are allowed"
    first = found[0]
    return (
        f"{len(found):,} {'component' if len(found) == 1 else 'components'} of {count:,} under licences that are not "
        f"allowed, first '{first['name']}' ({first['license'] or 'unknown'})"
    )


def _requires(_context: PlanContext, _params: LicensesParams) -> list[Requirement]:
    check_libraries()
    return []


def _describe(params: LicensesParams) -> str:
    shown = ", ".join(params.allowed[:3]) + (" …" if len(params.allowed) > 3 else "")
    return f"Checks that components are under allowed licences only: {shown}."


SCAN_LICENSES = StepKind(
    name="scan.licenses",
    version="1",
    params=LicensesParams,
    run=_run,
    summary="Checks the licences of a bill of materials against SPDX expressions that are allowed.",
    describe=_describe,
    requires=_requires,
    dagster_kinds=("licenses", "sbom"),
    check="licenses_are_allowed",
    # A path may name a file that is no part of the cache key.
    cached=lambda params: not params.of,
    confined=True,
)
