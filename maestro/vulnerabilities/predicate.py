"""A report as an in-toto predicate: https://in-toto.io/attestation/vulns/v0.1."""

from __future__ import annotations

from typing import Any

from maestro.vulnerabilities.report import Finding, Report

PREDICATE_TYPE = "https://in-toto.io/attestation/vulns/v0.1"
_URIS = {"grype": "https://github.com/anchore/grype", "osv": "https://maestro.example/scanner/osv"}


def predicate(report: Report, started: str) -> dict[str, Any]:
    """What is signed about a report.

    A scan that did not take place has no ``result``: an empty one would read as clean to those who know only the
    standard. Findings a VEX statement takes away stay, annotated.

    Args:
        started: RFC 3339.
    """
    scanner: dict[str, Any] = {
        "uri": _URIS.get(report.scanner.name, report.scanner.name),
        "version": report.scanner.version,
        "db": {},
    }
    database = report.database
    if database is not None:
        scanner["db"] = {
            "uri": ", ".join(database.sources),
            "version": database.digest,
            "lastUpdate": database.modified,
        }
    if report.state != "not_scanned":
        scanner["result"] = [_result(one) for one in report.findings]
    metadata: dict[str, Any] = {"scanStartedOn": started, "scanFinishedOn": report.scanned_at, "state": report.state}
    if report.reason is not None:
        metadata["reason"] = report.reason
    return {"scanner": scanner, "metadata": metadata}


def _result(finding: Finding) -> dict[str, Any]:
    severity = [{"method": "qualitative", "score": finding.severity}]
    if finding.score is not None:
        severity.append({"method": _method(finding.vector), "score": str(finding.score)})
    annotations: list[dict[str, str]] = [{"purl": finding.purl, "aliases": " ".join(finding.aliases)}]
    if finding.vex is not None:
        annotations.append({"vex": finding.vex.status, "source": finding.vex.source})
    return {"id": finding.id, "severity": severity, "annotations": annotations}


def _method(vector: str | None) -> str:
    return vector.partition("/")[0] if vector and vector.startswith("CVSS:") else "CVSS:2.0"
