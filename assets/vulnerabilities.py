"""Step kind ``scan.vulnerabilities``: looks the components of SBOMs up among known vulnerabilities."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from assets import places
from assets.scan_boms import ScannedBom, boms
from assets.scan_with_grype import grype_report
from assets.scan_with_osv import osv_report
from assets.step_reports import slugs, write_report
from maestro.artifacts import Claim
from maestro.steps import BaseParams, Output, PlanContext, Requirement, StepContext, StepKind, StepResult
from maestro.vulnerabilities import moments
from maestro.vulnerabilities.predicate import PREDICATE_TYPE, predicate
from maestro.vulnerabilities.report import MEDIA_TYPE, SEVERITIES, Finding, Report, Severity, at_least
from maestro.vulnerabilities.scan import not_scanned
from maestro.vulnerabilities.vex import Statement, read_vex

_REPORT = "vulnerabilities.json"
_MOST_ROWS = 200


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Texts = Annotated[list[str], BeforeValidator(_as_list)]


class VulnerabilityParams(BaseParams):
    """Parameters of ``scan.vulnerabilities``."""

    sbom: _Texts = Field(
        default_factory=list,
        description="Steps by id, or CycloneDX files in the workspace; every CycloneDX output of the steps before it "
        "when not given.",
    )
    scanner: Literal["osv", "grype", "auto"] = Field(
        "osv", description="`osv` matches in process; `grype` runs grype; `auto` is grype where it is installed."
    )
    database: str | None = Field(
        None,
        min_length=1,
        description="Folder of an advisory database or of OSV files, a zip archive, or the address under which "
        "`{ecosystem}/all.zip` stand; the project's own when not given. For `osv`.",
    )
    ecosystems: _Texts = Field(
        default_factory=list, description="What to fetch when `database` is an address: `PyPI`, `npm` …; all if empty."
    )
    max_age_hours: float = Field(
        168, gt=0, allow_inf_nan=False, description="How old the newest advisory may be, hours."
    )
    vex: _Texts = Field(default_factory=list, description="OpenVEX or CycloneDX VEX files in the workspace.")
    skip: _Texts = Field(
        default_factory=list,
        description="Globs over package URLs and names of components that need not be looked up. For `osv`.",
    )
    fail_on: Severity | None = Field(
        None, description="Fails from this severity on, and for findings nobody has rated; a gate decides if not given."
    )
    required: bool = Field(True, description="False: passes when nothing could be scanned.")


def _run(context: StepContext, params: VulnerabilityParams) -> StepResult:
    started = moments.write(datetime.now(UTC))
    statements = _statements(context, params.vex)
    found = boms(context, params.sbom)
    if not found:
        report = not_scanned("no step before this one has made a CycloneDX SBOM")
        return _result(context, params, [(ScannedBom("none", None, ()), report)], started)
    return _result(context, params, [(one, _scanned(context, params, one, statements)) for one in found], started)


def _statements(context: StepContext, files: Sequence[str]) -> list[Statement]:
    found: list[Statement] = []
    for name in files:
        found += read_vex(places.inside(context.workspace, name, "vex"), name=name)
    return found


def _scanned(
    context: StepContext, params: VulnerabilityParams, one: ScannedBom, statements: Sequence[Statement]
) -> Report:
    if one.problem is not None or one.bom is None:
        return not_scanned(one.problem or "there is no SBOM", subjects=one.targets)
    max_age = timedelta(hours=params.max_age_hours)
    if params.scanner == "grype" or (params.scanner == "auto" and context.which("grype")):
        return grype_report(context, one, statements, max_age)
    return osv_report(context, params.database, params.ecosystems, one, statements, max_age, params.skip)


def _result(
    context: StepContext,
    params: VulnerabilityParams,
    made: Sequence[tuple[ScannedBom, Report]],
    started: str,
) -> StepResult:
    names = [_REPORT]
    if len(made) > 1:
        names = [f"{name}.{_REPORT}" for name in slugs((one.name, one.digest) for one, _ in made)]
    outputs: list[Output] = []
    claims: list[Claim] = []
    for name, (one, report) in zip(names, made, strict=True):
        path = write_report(context, "scan.vulnerabilities", name, report.to_bytes())
        outputs.append(Output(name, path, MEDIA_TYPE))
        # What no step has delivered is no subject of evidence.
        if one.subjects:
            body = predicate(report, started)
            claims.append(Claim("vulnerabilities", PREDICATE_TYPE, one.subjects, predicate=body, report=name))
    reports = [report for _, report in made]
    for report in reports:
        if report.reason:
            context.log.warning("not scanned: %s", report.reason)
    findings = [finding for report in reports for finding in report.findings]
    missed = [report for report in reports if report.state == "not_scanned"]
    too_bad = [one for one in findings if one.counts and params.fail_on and at_least(one.severity, params.fail_on)]
    return StepResult(
        passed=not too_bad and not (missed and params.required),
        summary=_summary(reports, too_bad),
        outputs=outputs,
        values={"state": _state(reports), "findings": sum(one.counts for one in findings)},
        metadata=_metadata(reports, findings),
        claims=claims,
    )


def _state(reports: Sequence[Report]) -> str:
    states = {report.state for report in reports}
    return next(one for one in ("not_scanned", "findings", "clean") if one in states)


def _summary(reports: Sequence[Report], too_bad: Sequence[Finding]) -> str:
    counted = {severity: sum(report.counts()[severity] for report in reports) for severity in SEVERITIES}
    said = ", ".join(f"{count} {severity}" for severity, count in counted.items() if count) or "no findings"
    components = sum(report.components for report in reports)
    missed = next((report for report in reports if report.state == "not_scanned"), None)
    if missed is not None:
        return f"not scanned: {missed.reason}" + (f" ({said} so far)" if any(counted.values()) else "")
    text = f"{said} in {components:,} component{'' if components == 1 else 's'}"
    return f"{text}; {too_bad[0].id} in {too_bad[0].package} is {too_bad[0].severity}" if too_bad else text


def _metadata(reports: Sequence[Report], findings: Sequence[Finding]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"state": _state(reports)}
    for severity in SEVERITIES:
        metadata[severity] = sum(report.counts()[severity] for report in reports)
    metadata["taken away by VEX"] = sum(not one.counts for one in findings)
    metadata["components"] = sum(report.components for report in reports)
    metadata["unscanned"] = sum(len(report.unscanned) for report in reports)
    database = next((report.database for report in reports if report.database is not None), None)
    if database is not None:
        now = datetime.now(UTC)
        metadata["database"] = database.digest
        metadata["database age in hours"] = round((now - moments.parse(database.modified)) / timedelta(hours=1), 1)
    if findings:
        metadata["table"] = [
            {
                "severity": one.severity,
                "score": one.score,
                "id": one.id,
                "package": one.package,
                "version": one.version,
                "fixed": ", ".join(one.fixed),
                "vex": one.vex.status if one.vex else "",
                "summary": one.summary[:120],
            }
            for one in findings[:_MOST_ROWS]
        ]
    return metadata


def _describe(params: VulnerabilityParams) -> str:
    of = ", ".join(f"'{one}'" for one in params.sbom) or "every SBOM made before it"
    by = {"osv": "the advisory database", "grype": "grype", "auto": "grype or the advisory database"}[params.scanner]
    return f"Looks the components of {of} up in {by}."


def _requires(_context: PlanContext, params: VulnerabilityParams) -> list[Requirement]:
    if params.scanner != "grype":
        return []
    return [Requirement("grype", "install grype, or leave out `scanner: grype`", version_args=("version",))]


SCAN_VULNERABILITIES = StepKind(
    name="scan.vulnerabilities",
    version="1",
    params=VulnerabilityParams,
    run=_run,
    summary="Looks the components of SBOMs up among known vulnerabilities; what was not looked up is not clean.",
    describe=_describe,
    requires=_requires,
    dagster_kinds=("scan",),
    check="was_scanned",
    # Advisories come every hour, so what was clean yesterday says nothing today.
    cached=lambda _params: False,
    confined=True,
)
