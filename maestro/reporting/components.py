"""What a revision is made of, compared with an earlier one, from the bills of materials their steps left behind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from maestro.artifacts import ArtifactStore, StepRecord
from maestro.errors import MaestroError
from maestro.reporting.model import ComponentsReport

_SBOM = "sbom.generate"
_SCAN = "scan.vulnerabilities"
_REPORT = "vulnerabilities.json"
_LARGEST = 100_000_000
"""Bytes of a document that is read."""
_NEW_NAMES = 50


def compare_components(
    store: ArtifactStore, before: Sequence[StepRecord], after: Sequence[StepRecord], against: str
) -> tuple[ComponentsReport, ...]:
    """What differs, subject by subject; nothing when one side has no bill of materials.

    For people to look at: the documents are the bytes that the records name, but their signatures are not asked for.

    Args:
        before, after: records of the steps of two revisions.
        against: the earlier revision.

    Raises:
        MaestroError: a document cannot be read, or the libraries that read it are not installed.
    """
    if not all(any(one.kind == _SBOM and one.passed for one in side) for side in (before, after)):
        return ()
    from maestro.sbom.comparison import compare_revisions
    from maestro.sbom.libraries import check_libraries

    check_libraries()
    old, new = (_described(store, side) for side in (before, after))
    if not old or not new:
        return ()
    found = compare_revisions((against, old), ("", new))
    return tuple(
        ComponentsReport(
            subject=one.name,
            against=against,
            added=len(one.components.added),
            removed=len(one.components.removed),
            changed=len(one.components.changed),
            licenses=len(one.components.licenses),
            vulnerabilities=None
            if one.vulnerabilities is None or one.vulnerabilities.unknown
            else _by_severity(one.vulnerabilities.new),
            new=tuple(f"{part.name} {part.version or ''}".strip() for part in one.components.added[:_NEW_NAMES]),
        )
        for one in found.subjects
    )


def _by_severity(found: Sequence[Any]) -> dict[str, int]:
    from maestro.sbom.vulnerability_diff import SEVERITIES

    counts = Counter(one.severity for one in found)
    return {name: counts[name] for name in SEVERITIES if counts[name]}


def _described(store: ArtifactStore, records: Sequence[StepRecord]) -> list[Any]:
    from maestro.sbom.comparison import Described
    from maestro.sbom.reading import read_sbom

    documents = [data for record in records if record.kind == _SBOM and record.passed for data in _boms(store, record)]
    sboms = [read_sbom(data) for data in documents]
    # Which report is about which subject only signed statements say; with one of each there is no question.
    reports = [one for record in records if record.kind == _SCAN for one in _reports(store, record)]
    report = reports[0] if len(reports) == 1 and len(sboms) == 1 else None
    named = {(one.subject.name if one.subject else ""): one for one in sboms}
    return [Described(name, one, report) for name, one in named.items()]


def _boms(store: ArtifactStore, record: StepRecord) -> Iterator[bytes]:
    for output in record.outputs:
        if output.name.endswith(".cdx.json") and output.size < _LARGEST:
            yield store.get_bytes(output.sha256)


def _reports(store: ArtifactStore, record: StepRecord) -> Iterator[Mapping[str, Any]]:
    for output in record.outputs:
        if output.name == _REPORT and output.size < _LARGEST:
            try:
                report = json.loads(store.get_bytes(output.sha256))
            except ValueError as error:
                raise MaestroError(f"the report of step '{record.step}' is no JSON") from error
            if isinstance(report, dict):
                yield report
