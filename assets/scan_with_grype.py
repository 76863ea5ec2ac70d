"""Scans an SBOM with grype, which brings its own database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from assets.scan_boms import ScannedBom
from maestro.steps import StepContext
from maestro.vulnerabilities.errors import ReportError
from maestro.vulnerabilities.grype import NAME, GrypeOptions, converted
from maestro.vulnerabilities.report import Report
from maestro.vulnerabilities.scan import not_scanned
from maestro.vulnerabilities.vex import Statement

# A scan looks into what is there: it neither fetches a database nor asks for newer versions behind people's backs.
_ENVIRONMENT = {
    "GRYPE_CHECK_FOR_APP_UPDATE": "false",
    "GRYPE_DB_AUTO_UPDATE": "false",
    "GRYPE_DB_VALIDATE_AGE": "false",
}


def grype_report(context: StepContext, one: ScannedBom, statements: Sequence[Statement], max_age: timedelta) -> Report:
    """What grype finds; ``not_scanned`` when it is missing, fails, or has no database."""
    assert one.bom is not None
    program = context.which(NAME)
    if program is None:
        return not_scanned("grype is not installed", subjects=one.targets, scanner=NAME)
    document, answer = context.scratch / "sbom.cdx.json", context.scratch / "grype.json"
    document.write_bytes(one.data)
    argv = [program, f"sbom:{document}", "--output", "json", "--by-cve"]
    done = context.run_process(argv, env=_ENVIRONMENT, stdout=answer)
    if done.exit_code != 0:
        why = f"grype ended with exit code {done.exit_code}; its own words are in the log of the step"
        return not_scanned(why, subjects=one.targets, scanner=NAME)
    try:
        options = GrypeOptions(max_age=max_age, statements=statements)
        return converted(answer.read_bytes(), one.bom, options, subjects=one.targets)
    except ReportError as error:
        return not_scanned(error.what, subjects=one.targets, scanner=NAME)
