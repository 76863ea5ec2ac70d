"""Scans the components of an SBOM against the advisory database. What was not looked up is never called clean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

import maestro
from maestro.vulnerabilities import moments, vex
from maestro.vulnerabilities.component import Bom, Component
from maestro.vulnerabilities.database import AdvisoryDatabase
from maestro.vulnerabilities.errors import AdvisoryDatabaseError
from maestro.vulnerabilities.match import look_up
from maestro.vulnerabilities.report import SEVERITIES, Finding, Report, Scanner, State, Target, Unscanned

SCANNER = "osv"
_NAMED = 3


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How to scan.

    Args:
        max_age: the newest advisory may be this old; None: any age will do.
        statements: VEX.
        skip: globs over package URLs and names of components that need not be looked up.
        now: None: the time of day.
        cancelled: asked now and then; an unfinished scan is not scanned.
    """

    max_age: timedelta | None = None
    statements: Sequence[vex.Statement] = ()
    skip: Sequence[str] = ()
    now: datetime | None = None
    cancelled: Callable[[], bool] = field(default=lambda: False)


def not_scanned(
    reason: str, *, subjects: Sequence[Target] = (), scanner: str = SCANNER, now: datetime | None = None
) -> Report:
    """The report of a scan that could not be made."""
    return Report(
        state="not_scanned",
        reason=reason,
        scanner=Scanner(scanner, maestro.__version__),
        scanned_at=moments.write(now or datetime.now(UTC)),
        subjects=tuple(subjects),
    )


def scan(
    bom: Bom, database: AdvisoryDatabase, options: ScanOptions | None = None, *, subjects: Sequence[Target] = ()
) -> Report:
    """What the database knows about the components of ``bom``.

    The state is ``not_scanned`` when the database is too old, when it has no advisories for the ecosystem of a
    package, when a package could not be compared, and when there are components but none could be looked up. What was
    found all the same is in the report. A document without components is clean.
    """
    options = options or ScanOptions()
    now = options.now or datetime.now(UTC)
    try:
        return _scan(bom, database, options, tuple(subjects), now)
    except AdvisoryDatabaseError as error:
        return not_scanned(error.what, subjects=subjects, now=now)


def _scan(
    bom: Bom, database: AdvisoryDatabase, options: ScanOptions, subjects: tuple[Target, ...], now: datetime
) -> Report:
    scope = vex.Scope(bom, subjects)
    findings: list[Finding] = []
    unscanned: list[Unscanned] = []
    gaps: list[str] = []
    looked_up = skipped = 0
    for same in _by_purl(bom.components):
        component = same[0]
        if options.cancelled():
            gaps.append("the scan was stopped")
            break
        if _skipped(component, options.skip):
            skipped += 1
            unscanned.append(Unscanned(component.label, "left out on request"))
            continue
        looked = look_up(component, database)
        if looked.gap is not None:
            unscanned.append(Unscanned(component.label, looked.gap))
            if looked.package:
                gaps.append(f"{component.label}: {looked.gap}")
        else:
            looked_up += 1
        unscanned += [Unscanned(component.label, note) for note in looked.notes]
        judged = [vex.apply(looked.findings, one, options.statements, scope) for one in same]
        # A finding is taken away only if it is at every place the package was found at.
        findings += [next((one for one in each if one.counts), each[0]) for each in zip(*judged, strict=True)]
    reason = _reason(database, options, gaps, now)
    if reason is None and bom.components and not looked_up and not skipped:
        reason = "none of the components could be looked up"
    return Report(
        state=state_of(reason, findings),
        reason=reason,
        scanner=Scanner(SCANNER, maestro.__version__),
        database=database.info,
        scanned_at=moments.write(now),
        subjects=subjects,
        components=len(bom.components),
        findings=tuple(sorted(findings, key=order)),
        unscanned=tuple(unscanned),
    )


def order(finding: Finding) -> tuple[int, float, str, str, str]:
    """Sorts findings: worst first, then by package, version and id."""
    return SEVERITIES.index(finding.severity), -(finding.score or 0.0), finding.package, finding.version, finding.id


def stale(age: timedelta, max_age: timedelta | None) -> str | None:
    """Why a database of this age may not be used; None: it may."""
    if max_age is None or age <= max_age:
        return None
    return (
        f"the newest advisory of the database is {_hours(age)} old, and {_hours(max_age)} are allowed; "
        "run `maestro vulns update`"
    )


def state_of(reason: str | None, findings: Iterable[Finding]) -> State:
    """The state of a report; a reason why something was not scanned weighs more than what was found."""
    if reason is not None:
        return "not_scanned"
    return "findings" if any(one.counts for one in findings) else "clean"


def _reason(database: AdvisoryDatabase, options: ScanOptions, gaps: list[str], now: datetime) -> str | None:
    reasons = [stale(database.age(now), options.max_age)]
    if options.max_age is not None:
        checked = (moments.read(one.checked) for one in database.sources)
        oldest = min((one for one in checked if one is not None), default=None)
        if oldest is not None and now - oldest > options.max_age and reasons == [None]:
            reasons.append(f"a source of the database was last looked at {_hours(now - oldest)} ago")
    if gaps:
        more = f"; and {len(gaps) - _NAMED} more" if len(gaps) > _NAMED else ""
        count = f"{len(gaps)} component{'s were' if len(gaps) > 1 else ' was'} not scanned"
        reasons.append(f"{count}: {'; '.join(gaps[:_NAMED])}{more}")
    return "; ".join(one for one in reasons if one) or None


def _by_purl(components: Iterable[Component]) -> list[list[Component]]:
    """Components with one package URL together: the same package may be found at many places of an image."""
    found: dict[str, list[Component]] = {}
    for number, component in enumerate(components):
        found.setdefault(component.purl or f"#{number}", []).append(component)
    return list(found.values())


def _skipped(component: Component, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(component.purl or "", one) or fnmatchcase(component.name, one) for one in patterns)


def _hours(age: timedelta) -> str:
    return f"{age / timedelta(hours=1):.0f} hours"
