"""grype's JSON report (``grype -o json``) as the one model of a scan."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from maestro.vulnerabilities import moments, severity, vex
from maestro.vulnerabilities.component import Bom, Component
from maestro.vulnerabilities.errors import ReportError
from maestro.vulnerabilities.report import DatabaseInfo, Finding, Report, Scanner, Target, Unscanned
from maestro.vulnerabilities.scan import order, stale, state_of

NAME = "grype"


@dataclass(frozen=True, slots=True)
class GrypeOptions:
    """How to take grype's report; see :class:`maestro.vulnerabilities.scan.ScanOptions`."""

    max_age: timedelta | None = None
    statements: Sequence[vex.Statement] = ()
    now: datetime | None = None


def converted(data: bytes, bom: Bom, options: GrypeOptions, *, subjects: Sequence[Target] = ()) -> Report:
    """The report grype made of ``bom``.

    It is ``not_scanned`` when grype does not name the database it used, or that is too old. What grype could not look
    up it does not say, so ``unscanned`` names only components without a package URL.

    Raises:
        ReportError: this is not what grype writes.
    """
    now = options.now or datetime.now(UTC)
    try:
        document = json.loads(data)
        descriptor = document["descriptor"]
        database = _database(descriptor.get("db"))
        scope = vex.Scope(bom, tuple(subjects))
        findings = [
            finding
            for match in document["matches"]
            for finding in vex.apply([_finding(match)], _component(match, bom), options.statements, scope)
        ]
        version = str(descriptor.get("version", "unknown"))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ReportError(
            "this is no report of grype", next_step="look at what `grype -o json` prints; is it a version before 0.50?"
        ) from error
    reason = "grype does not say which database it used" if database is None else None
    if database is not None:
        reason = stale(max(now - moments.parse(database.built), timedelta(0)), options.max_age)
    without = [one for one in bom.components if one.purl is None]
    if reason is None and bom.components and len(without) == len(bom.components):
        reason = "none of the components could be looked up"
    return Report(
        state=state_of(reason, findings),
        reason=reason,
        scanner=Scanner(NAME, version),
        database=database,
        scanned_at=moments.write(now),
        subjects=tuple(subjects),
        components=len(bom.components),
        findings=tuple(sorted(findings, key=order)),
        unscanned=tuple(Unscanned(one.label, "it has no package URL") for one in without),
    )


def _database(document: Any) -> DatabaseInfo | None:
    """What grype says of its database; since 0.88 under ``status``, before that at once."""
    if not isinstance(document, dict):
        return None
    status = document.get("status") or document
    built, valid = moments.read(status.get("built")), status.get("valid", True)
    if built is None or not valid or status.get("error"):
        return None
    source = str(status.get("from") or status.get("location") or "")
    digest = str(status.get("checksum") or _checksum(source) or "unknown")
    providers = document.get("providers")
    names = tuple(sorted(providers)) if isinstance(providers, dict) else ()
    return DatabaseInfo(digest, moments.write(built), moments.write(built), 0, names)


def _checksum(address: str) -> str | None:
    """``…?checksum=sha256%3A…``, as newer versions give it."""
    found = parse_qs(urlsplit(address).query).get("checksum")
    return found[0] if found else None


def _finding(match: Mapping[str, Any]) -> Finding:
    vulnerability, artifact = match["vulnerability"], match["artifact"]
    identifier = str(vulnerability["id"])
    related = [one for one in match.get("relatedVulnerabilities") or () if isinstance(one, dict)]
    ratings = [*(vulnerability.get("cvss") or ()), *(each for one in related for each in one.get("cvss") or ())]
    vectors = [str(one["vector"]) for one in ratings if one.get("vector")]
    # The distribution's own word, where grype has one, weighs what the vector cannot know.
    word = severity.of_word(vulnerability.get("severity"))
    rated, score, vector = severity.worst(vectors)
    fix = vulnerability.get("fix") or {}
    return Finding(
        id=identifier,
        aliases=tuple(sorted({str(one["id"]) for one in related} - {identifier})),
        package=str(artifact["name"]),
        version=str(artifact["version"]),
        purl=str(artifact.get("purl") or ""),
        ecosystem=str(vulnerability.get("namespace") or artifact.get("type") or ""),
        severity=rated if word == "unknown" else word,
        score=score,
        vector=vector,
        fixed=tuple(str(one) for one in fix.get("versions") or ()),
        summary=str(vulnerability.get("description") or "").split("\n")[0][:300],
    )


def _component(match: Mapping[str, Any], bom: Bom) -> Component:
    artifact = match["artifact"]
    purl = str(artifact.get("purl") or "") or None
    known = next((one for one in bom.components if one.purl is not None and one.purl == purl), None)
    return known or Component(str(artifact["name"]), str(artifact["version"]), purl)
