"""Everything that differs between two revisions, subject by subject, as tables that every rendering shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from maestro.sbom.diff import SbomDiff, compare
from maestro.sbom.model import Component, Sbom
from maestro.sbom.vulnerability_diff import SEVERITIES, Vulnerability, VulnerabilityDiff, compare_vulnerabilities

_EMPTY = Sbom("CycloneDX", "1.6", None, ())


@dataclass(frozen=True, slots=True)
class Described:
    """One subject on one side.

    Args:
        name: by which the sides are matched: without version or digest.
        sbom: what it is made of.
        vulnerabilities: the report on it, as JSON; None when there is none.
    """

    name: str
    sbom: Sbom
    vulnerabilities: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SubjectDiff:
    """What differs in one subject.

    Args:
        name: of the subject.
        only: the only side it is on; None when it is on both.
        components: what it is made of.
        vulnerabilities: None when neither side has a report.
    """

    name: str
    only: Literal["before", "after"] | None
    components: SbomDiff
    vulnerabilities: VulnerabilityDiff | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two revisions, or two documents.

    Args:
        before: what the first is called.
        after: what the second is called.
        subjects: sorted by name.
    """

    before: str
    after: str
    subjects: tuple[SubjectDiff, ...]


@dataclass(frozen=True, slots=True)
class DiffTable:
    """Rows of plain text, to be escaped by whoever shows them.

    Args:
        title: with the number of rows in it.
        heads: of the columns.
        rows: cells.
        tone: ``good``, ``bad`` or ``plain``.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tone: Literal["good", "bad", "plain"] = "plain"


def compare_revisions(before: tuple[str, Sequence[Described]], after: tuple[str, Sequence[Described]]) -> Comparison:
    """Compare all subjects of two sides, matched by name; a single one on each side is matched whatever its name.

    Args:
        before: what the side is called, and its subjects.
        after: the same.
    """
    old, new = ({one.name: one for one in side[1]} for side in (before, after))
    if len(old) == len(new) == 1 and old.keys() != new.keys():
        name = next(iter(new))
        old = {name: next(iter(old.values()))}
    found = [_subject(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]
    return Comparison(before[0], after[0], tuple(found))


def headline(subject: SubjectDiff) -> str:
    """One line on what differs."""
    diff = subject.components
    directions = Counter(one.direction for one in diff.changed)
    moved = ", ".join(f"{directions[name]} {name}" for name in ("up", "down", "other") if directions[name])
    parts = [f"{len(diff.added):,} added", f"{len(diff.removed):,} removed", f"{len(diff.changed):,} changed"]
    text = ", ".join(parts) + (f" ({moved})" if moved else "")
    if diff.licenses:
        text += f"; {len(diff.licenses):,} under another licence"
    found = subject.vulnerabilities
    if found is None:
        return text
    if found.unknown:
        return f"{text}; vulnerabilities not known ({found.unknown})"
    worst = Counter(one.severity for one in found.new)
    counted = ", ".join(f"{worst[name]} {name}" for name in SEVERITIES if worst[name])
    return (
        f"{text}; vulnerabilities: {len(found.new)} new"
        + (f" ({counted})" if counted else "")
        + (f", {len(found.gone)} gone, {found.still} still there")
    )


def tables(subject: SubjectDiff) -> list[DiffTable]:
    """What differs, what matters most first; no table without rows."""
    diff, found = subject.components, subject.vulnerabilities
    made = [
        *(_vulnerability_tables(found) if found else ()),
        _components("added", diff.added),
        _components("removed", diff.removed),
        DiffTable(
            _title(len(diff.changed), "component", "changed"),
            ("Component", "Before", "After", "Version went"),
            tuple(
                (one.after.name, one.before.version or "", one.after.version or "", one.direction)
                for one in diff.changed
            ),
        ),
        DiffTable(
            _title(len(diff.licenses), "component", "under another licence"),
            ("Component", "Version", "Before", "After"),
            tuple(
                (
                    one.component.name,
                    one.component.version or "",
                    ", ".join(one.before) or "unknown",
                    ", ".join(one.after) or "unknown",
                )
                for one in diff.licenses
            ),
            "bad",
        ),
        DiffTable(
            _title(len(diff.new_licenses), "licence", "not there before"),
            ("Licence", "Components"),
            tuple((name, str(count)) for name, count in diff.new_licenses.items()),
        ),
    ]
    return [one for one in made if one.rows]


def _subject(name: str, before: Described | None, after: Described | None) -> SubjectDiff:
    components = compare(before.sbom if before else _EMPTY, after.sbom if after else _EMPTY)
    only: Literal["before", "after"] | None = None if before and after else ("before" if before else "after")
    return SubjectDiff(name, only, components, _vulnerabilities(before, after))


def _vulnerabilities(before: Described | None, after: Described | None) -> VulnerabilityDiff | None:
    old = before.vulnerabilities if before else None
    new = after.vulnerabilities if after else None
    if old is None and new is None:
        return None
    if old is None or new is None:
        return VulnerabilityDiff(unknown=f"{'before' if old is None else 'after'}: there is no report")
    return compare_vulnerabilities(old, new)


def _components(what: str, components: Sequence[Component]) -> DiffTable:
    return DiffTable(
        _title(len(components), "component", what),
        ("Component", "Version", "Licence"),
        tuple((one.name, one.version or "", one.licenses or "unknown") for one in components),
    )


def _vulnerability_tables(found: VulnerabilityDiff) -> list[DiffTable]:
    heads = ("Vulnerability", "Severity", "Package", "Version", "Fixed in", "Summary")

    def rows(listed: Sequence[Vulnerability]) -> tuple[tuple[str, ...], ...]:
        return tuple(
            (one.id, one.severity, one.package, one.version, ", ".join(one.fixed), one.summary[:200]) for one in listed
        )

    return [
        DiffTable(_title(len(found.new), "vulnerability", "new"), heads, rows(found.new), "bad"),
        DiffTable(_title(len(found.gone), "vulnerability", "gone"), heads, rows(found.gone), "good"),
    ]


def _title(count: int, noun: str, what: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural} {what}"
