"""Looks one component up in the advisory database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from maestro.vulnerabilities import severity
from maestro.vulnerabilities.advisory import cves
from maestro.vulnerabilities.component import Component, parse_purl
from maestro.vulnerabilities.database import AdvisoryDatabase, Entry
from maestro.vulnerabilities.ecosystems import Coordinates, NotMatchedError, coordinates
from maestro.vulnerabilities.ranges import fixed_after, is_affected
from maestro.vulnerabilities.report import SEVERITIES, Finding
from maestro.vulnerabilities.versions import UnreadableVersionError, order_of


@dataclass(frozen=True, slots=True)
class Looked:
    """What looking a component up gave.

    Args:
        findings: one for each vulnerability, advisories of one vulnerability merged.
        notes: what could not be decided about it, and does not need to be: advisories over git commits.
        gap: why it was not looked up, or not wholly; None: it was.
        package: it is a package, so a gap counts.
    """

    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    gap: str | None = None
    package: bool = True


def look_up(component: Component, database: AdvisoryDatabase) -> Looked:
    """What the database knows about ``component``. It is all right only if ``gap`` is None."""
    if component.purl is None:
        return Looked(gap="it has no package URL", package=False)
    purl = parse_purl(component.purl)
    if purl is None:
        return Looked(gap="its package URL cannot be read")
    try:
        place = coordinates(purl)
    except NotMatchedError as error:
        return Looked(gap=str(error), package=error.package)
    if place.release is None:
        return Looked(gap=f"its package URL does not say which release of {place.ecosystem} it is of (distro=…)")
    if not database.covers(place.ecosystem, place.release):
        return Looked(gap=f"the advisory database has no advisories for {place.label}")
    entries = [one for one in database.about(place.ecosystem, place.name) if _same_release(one, place)]
    if not entries:
        return Looked()
    if place.version is None:
        return Looked(gap=f"it has no version, and {_advisories(len(entries))} about {place.name}")
    return _compare(component, place, place.version, entries)


def _compare(component: Component, place: Coordinates, version: str, entries: list[Entry]) -> Looked:
    order = order_of(place.ecosystem)
    found: list[Finding] = []
    notes: list[str] = []
    undecided: list[str] = []
    for entry in entries:
        affected = entry.affected
        if affected.git and not affected.ranges and not affected.versions:
            notes.append(f"{entry.id} names git commits only, which are not compared")
            continue
        try:
            if is_affected(version, affected.versions, affected.ranges, order):
                found.append(_finding(component, place, version, entry))
        except UnreadableVersionError as error:
            undecided.append(f"{entry.id}: {error}")
    gap = None
    if undecided:
        more = f", and {len(undecided) - 1} more" if len(undecided) > 1 else ""
        gap = f"its version cannot be compared with {undecided[0]}{more}"
    return Looked(tuple(merged(found)), tuple(notes), gap)


def _finding(component: Component, place: Coordinates, version: str, entry: Entry) -> Finding:
    rated, score, vector = severity.worst(entry.vectors, entry.word)
    try:
        fixed = fixed_after(version, entry.affected.ranges, order_of(place.ecosystem))
    except UnreadableVersionError:
        fixed = []
    return Finding(
        id=entry.id,
        aliases=entry.names,
        package=place.name if place.ecosystem == "Maven" else component.name,
        version=version,
        purl=component.purl or "",
        ecosystem=place.label,
        severity=rated,
        score=score,
        vector=vector,
        published=entry.published,
        modified=entry.modified,
        fixed=tuple(fixed),
        summary=entry.summary,
    )


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Findings of one component, those of one vulnerability made one.

    Two are of one vulnerability if one names the other or they share an alias. Advisories that stand for several CVEs
    (DSA, RHSA) stay as they are: they would make one of different vulnerabilities.
    """
    groups: list[list[Finding]] = []
    for finding in findings:
        if len(cves(finding.ids)) > 1:
            groups.append([finding])
            continue
        near = [group for group in groups if any(_same(one, finding) for one in group)]
        groups = [group for group in groups if group not in near]
        groups.append([finding, *(one for group in near for one in group)])
    return [_one_of(group) for group in groups]


def _same(one: Finding, other: Finding) -> bool:
    return len(cves(one.ids)) <= 1 and bool(one.ids & other.ids)


def _one_of(group: list[Finding]) -> Finding:
    if len(group) == 1:
        return group[0]
    group = sorted(group, key=lambda one: (_rank(one.id), one.id))
    worst = min(group, key=lambda one: (SEVERITIES.index(one.severity), -(one.score or 0.0)))
    first = group[0]
    published = sorted(one.published for one in group if one.published)
    fixed = next((one.fixed for one in group if one.fixed), ())
    return Finding(
        id=first.id,
        aliases=tuple(sorted({name for one in group for name in one.ids} - {first.id})),
        package=first.package,
        version=first.version,
        purl=first.purl,
        ecosystem=first.ecosystem,
        severity=worst.severity,
        score=worst.score,
        vector=worst.vector,
        published=published[0] if published else None,
        modified=max((one.modified for one in group if one.modified), default=None),
        fixed=fixed,
        summary=next((one.summary for one in group if one.summary), ""),
    )


def _rank(identifier: str) -> int:
    return 0 if identifier.startswith("CVE-") else 1 if identifier.startswith("GHSA-") else 2


def _same_release(entry: Entry, place: Coordinates) -> bool:
    return not place.release or entry.affected.release in ("", place.release)


def _advisories(count: int) -> str:
    return "there is an advisory" if count == 1 else f"there are {count} advisories"
