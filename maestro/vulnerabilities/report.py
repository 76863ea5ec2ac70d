"""The one model of a scan's result: clean, findings, or not scanned, which is never taken for clean."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from maestro.vulnerabilities.errors import ReportError

SCHEMA = 1
"""Version of the document; a reader refuses any other."""
MEDIA_TYPE = "application/vnd.maestro.vulnerabilities+json"

State: TypeAlias = Literal["clean", "findings", "not_scanned"]
Severity: TypeAlias = Literal["critical", "high", "medium", "low", "none", "unknown"]
Status: TypeAlias = Literal["not_affected", "affected", "fixed", "under_investigation"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From worst to least; ``unknown`` last in print, but never taken for harmless: see :func:`at_least`."""
STATUSES: tuple[Status, ...] = get_args(Status)
STATES: tuple[State, ...] = get_args(State)
_NEXT = "give a report written by scan.vulnerabilities"


def at_least(severity: Severity, limit: Severity) -> bool:
    """Whether ``severity`` is ``limit`` or worse; what nobody has rated yet may be anything, so it is."""
    return severity == "unknown" or SEVERITIES.index(severity) <= SEVERITIES.index(limit)


@dataclass(frozen=True, slots=True)
class Scanner:
    """The program that looked."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """The advisories it looked into.

    Args:
        digest: ``sha256:…`` over their content, whatever their order.
        modified: of the newest advisory, RFC 3339.
        built: when the database was made, RFC 3339.
        advisories: how many are in force.
        sources: where they came from.
    """

    digest: str
    modified: str
    built: str
    advisories: int
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """What was scanned: a subject of evidence. ``digest`` is ``sha256:…``."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a VEX statement says of a finding.

    Args:
        status: OpenVEX 0.2.0 words.
        justification: why, in the statement's own words.
        source: the document, and who wrote it.
    """

    status: Status
    justification: str | None
    source: str

    @property
    def suppresses(self) -> bool:
        """The finding does not count."""
        return self.status in ("not_affected", "fixed")


@dataclass(frozen=True, slots=True)
class Finding:
    """One vulnerability in one component.

    Args:
        id: of the advisory; the CVE when one of the merged advisories has that id.
        aliases: other ids it is known by, sorted.
        version: as the component gives it.
        score: of the CVSS vector, 0 to 10.
        vector: CVSS 2, 3 or 4.
        fixed: versions later than the component's in which it is mended, lowest first.
        vex: None: nobody has judged it.
    """

    id: str
    aliases: tuple[str, ...]
    package: str
    version: str
    purl: str
    ecosystem: str
    severity: Severity
    score: float | None = None
    vector: str | None = None
    published: str | None = None
    modified: str | None = None
    fixed: tuple[str, ...] = ()
    summary: str = ""
    vex: Judgement | None = None

    @property
    def counts(self) -> bool:
        """No VEX statement takes it away."""
        return self.vex is None or not self.vex.suppresses

    @property
    def ids(self) -> frozenset[str]:
        """Every id it is known by."""
        return frozenset((self.id, *self.aliases))


@dataclass(frozen=True, slots=True)
class Unscanned:
    """A component, or one advisory for it, that could not be decided.

    Args:
        what: purl of the component, or its name when it has no purl.
        reason: one sentence.
    """

    what: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """``purl`` or ``name``, and ``reason``."""
        return {"purl" if self.what.startswith("pkg:") else "name": self.what, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a scan found.

    Args:
        state: ``clean`` only when every package was looked up and no finding counts.
        reason: why it was not scanned, or not all of it.
        components: how many the SBOM has.
        findings: worst first; also those a VEX statement takes away.
        unscanned: what could not be looked up, and why.
    """

    state: State
    scanner: Scanner
    scanned_at: str
    reason: str | None = None
    database: DatabaseInfo | None = None
    subjects: tuple[Target, ...] = ()
    components: int = 0
    findings: tuple[Finding, ...] = ()
    unscanned: tuple[Unscanned, ...] = ()

    def counts(self) -> dict[Severity, int]:
        """Findings that count, by severity, every severity named."""
        found: dict[Severity, int] = dict.fromkeys(SEVERITIES, 0)
        for finding in self.findings:
            found[finding.severity] += finding.counts
        return found

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        return {
            "schema": SCHEMA,
            "state": self.state,
            "reason": self.reason,
            "scanner": asdict(self.scanner),
            "database": None if self.database is None else _lists(asdict(self.database)),
            "scanned_at": self.scanned_at,
            "subjects": [asdict(one) for one in self.subjects],
            "components": self.components,
            "findings": [_lists(asdict(one)) for one in self.findings],
            "unscanned": [one.to_json() for one in self.unscanned],
        }

    def to_bytes(self) -> bytes:
        """The document as UTF-8 JSON, indented, the same for the same report."""
        return (json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, document: Any) -> Report:
        """The report ``document`` holds.

        Raises:
            ReportError: it holds none.
        """
        from maestro.vulnerabilities.report_reading import read

        try:
            return read(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ReportError(f"this is no vulnerability report: {_said(error)}", next_step=_NEXT) from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Report:
        """As :meth:`from_json`, of UTF-8 JSON."""
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ReportError("this is no vulnerability report: it is no JSON", next_step=_NEXT) from error
        return cls.from_json(document)


def _lists(document: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in document.items()}


def _said(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)[:200]
