"""Whether an answer is right: the planted defect is named where it is, and a clean diff is left in peace."""

from __future__ import annotations

from dataclasses import dataclass

from maestro.evals.cases import Case, lines_of
from maestro.evals.findings import Finding, Form, read_findings

NEAR = 2
"""Lines a finding may lie beside the label: models count from the hunk's head, and a statement has several lines."""
COUNTED = 3
"""Findings of an answer that are looked at for the defect: naming every line finds everything and helps nobody."""
VERSION = "1"
"""Changes when the same answer would be scored otherwise; scores of different versions are never compared."""


@dataclass(frozen=True, slots=True)
class Score:
    """What an answer is worth.

    Args:
        passed: the defect was found; for a clean case: the answer can be read and names nothing.
        found: whether the defect was named; None for a clean case.
        false_alarms: findings that are not the defect.
        form: how the answer was written.
    """

    passed: bool
    found: bool | None
    false_alarms: int
    form: Form


def score(case: Case, text: str) -> Score:
    """Scores one answer; the same answer always gets the same score."""
    said = read_findings(text)
    if case.clean:
        return Score(said.readable and not said.found, None, len(said.found), said.form)
    files = tuple(lines_of(case.diff))
    hits = [one for one in said.found if _hits(one, case, files)]
    found = any(_hits(one, case, files) for one in said.found[:COUNTED])
    return Score(found, found, len(said.found) - len(hits), said.form)


def _hits(finding: Finding, case: Case, files: tuple[str, ...]) -> bool:
    return any(
        finding.line is not None
        and abs(finding.line - defect.line) <= NEAR
        and _same_file(finding.file, defect.file, files)
        for defect in case.defects
    )


def _same_file(named: str, file: str, files: tuple[str, ...]) -> bool:
    """The same path, or the end of one that no other file of the diff has."""
    if named == file:
        return True
    ends = [one for one in files if one.endswith(f"/{named}")]
    return ends == [file] or named.endswith(f"/{file}")
