"""Reads what ``maestro evidence diff`` compares: documents, or the verified evidence of revisions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maestro.cli.evidence_source import Source
from maestro.errors import InputError, Location
from maestro.evidence.gate_input import report_of
from maestro.evidence.index import Entry
from maestro.evidence.types import CYCLONEDX, REFERENCE
from maestro.evidence.verify import EvidenceStatus
from maestro.sbom import canonical
from maestro.sbom.comparison import Described
from maestro.sbom.model import Sbom
from maestro.sbom.reading import read_sbom

_REPORT_LIMIT = 100_000_000


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: what it is called, and its subjects."""

    name: str
    subjects: tuple[Described, ...]


def side_of_file(file: Path, report: Path | None) -> Side:
    """A document, with a vulnerability report if there is one.

    Raises:
        InputError: one of them cannot be read.
    """
    sbom = read_sbom(file)
    return Side(file.name, (Described(_name(sbom, file.name), sbom, None if report is None else read_report(report)),))


def side_of_revision(source: Source, named: str | None) -> Side:
    """The bills of materials of a revision, and what was found in it, from statements that verify.

    Raises:
        InputError: it has none, or one does not verify.
    """
    revision = source.revision(named)
    entries = source.desk.index.of_revision(source.desk.project, revision)
    # Entries come oldest first: of one subject the newest statement counts.
    reports = {entry.subjects[0]: _report(source, entry) for entry in _of(entries, "vulnerabilities")}
    found: dict[str, Described] = {}
    for entry in _of(entries, "sbom"):
        if entry.predicate_type not in (CYCLONEDX, REFERENCE):
            continue
        status = _checked(source, entry)
        if status.verified is None:
            raise InputError(
                f"the SBOM of {entry.subjects[0]} does not verify: {status.reason}",
                next_step=f"see `maestro evidence show {revision[:12]}`; make it again with its step",
            )
        data = _document(source, status.verified.statement.predicate)
        sbom = None if data is None else read_sbom(data)
        if sbom is not None:
            name = _name(sbom, entry.subjects[0])
            found[name] = Described(name, sbom, reports.get(entry.subjects[0]))
    if not found:
        raise InputError(
            f"revision {revision[:20]} has no signed SBOM in CycloneDX",
            next_step="run its workflow with a step `run: sbom.generate`, or give two files",
        )
    return Side(named or revision[:20], tuple(found.values()))


def read_report(file: Path) -> Mapping[str, Any]:
    """A vulnerability report.

    Raises:
        InputError: it is none.
    """
    try:
        if file.stat().st_size >= _REPORT_LIMIT:
            raise InputError(
                f"the report has more than {_REPORT_LIMIT:,} bytes", where=Location(str(file)), next_step="scan again"
            )
        report = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "this is no vulnerability report: it cannot be read as JSON",
            where=Location(str(file)),
            next_step="give the output vulnerabilities.json of scan.vulnerabilities",
        ) from error
    if not isinstance(report, dict):
        raise InputError(
            "this is no vulnerability report: it is no JSON object",
            where=Location(str(file)),
            next_step="give the output vulnerabilities.json of scan.vulnerabilities",
        )
    return report


def _of(entries: list[Entry], type_: str) -> list[Entry]:
    return [one for one in entries if one.type == type_]


def _checked(source: Source, entry: Entry) -> EvidenceStatus:
    return source.desk.verifier.check(entry.bundle, entry.type, entry.subjects[0], entry.revision, entry)


def _report(source: Source, entry: Entry) -> Mapping[str, Any]:
    status = _checked(source, entry)
    report = report_of(source.desk, status)
    if report is None:
        reason = status.reason or "its statement names no report that can be read"
        return {"state": "not_scanned", "reason": reason, "findings": []}
    return report


def _document(source: Source, predicate: Mapping[str, Any]) -> bytes | None:
    """The document a statement holds, or names by digest; None when it is of another format."""
    if predicate.get("bomFormat") == "CycloneDX":
        return canonical.encoded(predicate)
    for one in predicate.get("references") or ():
        if isinstance(one, dict) and (one.get("annotations") or {}).get("predicateType") == CYCLONEDX:
            return source.desk.store.get_bytes(one["digest"]["sha256"])
    return None


def _name(sbom: Sbom, other: str) -> str:
    return sbom.subject.name if sbom.subject is not None else other
