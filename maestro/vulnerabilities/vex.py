"""VEX: what somebody who knows says of a vulnerability in a product, applied to findings component by component."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packageurl import PackageURL

from maestro.vulnerabilities import moments
from maestro.vulnerabilities.advisory import cves
from maestro.vulnerabilities.component import Bom, Component, parse_purl
from maestro.vulnerabilities.errors import VexError
from maestro.vulnerabilities.report import Finding, Judgement, Status, Target

BYTES = 16 * 2**20
_LINK_VERSION = re.compile(r"/\d+#")
_NEXT = "give an OpenVEX document (openvex.dev) or a CycloneDX document with 'vulnerabilities'"


@dataclass(frozen=True, slots=True)
class Product:
    """What a statement is about.

    Args:
        names: package URLs, digests (``sha256:…``), names and BOM links by which it may be known.
        parts: names of those of its components that are meant; empty: itself with all it has.
    """

    names: tuple[str, ...]
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """One judgement of one vulnerability.

    Args:
        ids: of the vulnerability, with its aliases.
        at: of statements about the same thing the latest counts; the beginning of time when it is not said.
        source: the document, and who wrote it.
    """

    ids: frozenset[str]
    products: tuple[Product, ...]
    status: Status
    justification: str | None
    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What the findings are in: the SBOM, and the subjects it describes."""

    bom: Bom
    subjects: tuple[Target, ...] = ()


def read_vex(file: Path, *, name: str | None = None) -> list[Statement]:
    """The statements of an OpenVEX or CycloneDX document.

    Args:
        name: what errors and findings call it; the file's name when None.

    Raises:
        VexError: it cannot be read, or is neither.
    """
    try:
        size = file.stat().st_size
        data = file.read_bytes() if size <= BYTES else b""
    except OSError as error:
        raise VexError(
            f"the VEX document '{name or file}' cannot be read: {error.strerror}", next_step=_NEXT
        ) from error
    if size > BYTES:
        raise VexError(f"the VEX document '{name or file}' has more than {BYTES:,} bytes", next_step=_NEXT)
    return parse_vex(data, name or file.name)


def parse_vex(data: bytes, name: str) -> list[Statement]:
    """As :func:`read_vex`, of bytes."""
    from maestro.vulnerabilities import cyclonedx_vex, openvex

    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise VexError(f"the VEX document '{name}' is no JSON", next_step=_NEXT) from error
    try:
        if isinstance(document, dict) and "openvex" in str(document.get("@context", "")):
            return openvex.statements(document, name)
        if isinstance(document, dict) and document.get("bomFormat") == "CycloneDX" and "vulnerabilities" in document:
            return cyclonedx_vex.statements(document, name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)[:200]
        raise VexError(f"the VEX document '{name}' breaks its format: {said}", next_step=_NEXT) from error
    raise VexError(f"'{name}' is no VEX document", next_step=_NEXT)


def said_at(*texts: object) -> datetime:
    """The first of ``texts`` that is a moment (RFC 3339); the beginning of time when none is."""
    return next((one for one in map(moments.read, texts) if one is not None), datetime.min.replace(tzinfo=UTC))


def apply(
    findings: Sequence[Finding], component: Component, statements: Sequence[Statement], scope: Scope
) -> list[Finding]:
    """The findings of one component with the judgement that holds for each, where there is one."""
    if not findings or not statements:
        return list(findings)
    near = [one for one in statements if any(_about(product, component, scope) for product in one.products)]
    return [_judged(finding, near) for finding in findings]


def _judged(finding: Finding, statements: Sequence[Statement]) -> Finding:
    wanted = cves(finding.ids)
    chosen = _latest(one for one in statements if one.ids & (finding.ids if len(wanted) < 2 else {finding.id}))
    if chosen is None and len(wanted) > 1:
        # An advisory for several vulnerabilities is only out of the way when each of them is.
        each = [_latest(one for one in statements if cve in one.ids) for cve in sorted(wanted)]
        chosen = next((one for one in each if one is None or not _suppresses(one)), each[0])
    if chosen is None:
        return finding
    return replace(finding, vex=Judgement(chosen.status, chosen.justification, chosen.source))


def _latest(statements: Iterable[Statement]) -> Statement | None:
    latest: Statement | None = None
    for one in statements:
        # Of two at the same time the one that takes nothing away counts.
        if latest is None or one.at > latest.at or (one.at == latest.at and _suppresses(latest)):
            latest = one
    return latest


def _suppresses(statement: Statement) -> bool:
    return statement.status in ("not_affected", "fixed")


def _about(product: Product, component: Component, scope: Scope) -> bool:
    if not product.parts and any(_names(name, component, scope) for name in product.names):
        return True
    if not any(_names_subject(name, scope) for name in product.names):
        return bool(product.parts) and _is_part(product, component, scope)
    return not product.parts or any(_names(name, component, scope) for name in product.parts)


def _is_part(product: Product, component: Component, scope: Scope) -> bool:
    """The product is a component of the SBOM itself, and ``component`` is the part of it that is meant."""
    return any(_names(name, one, scope) for name in product.names for one in scope.bom.components) and any(
        _names(name, component, scope) for name in product.parts
    )


def _names(name: str, component: Component, scope: Scope) -> bool:
    if name.startswith("pkg:"):
        return component.purl is not None and _covers(name, component.purl)
    if name.startswith("urn:cdx:"):
        # The version of the document in the link is not told apart.
        return component.ref is not None and _LINK_VERSION.sub("#", name, count=1) == _link(scope.bom, component.ref)
    return False


def _names_subject(name: str, scope: Scope) -> bool:
    subject = scope.bom.subject
    if subject is not None and _names(name, subject, scope):
        return True
    for one in scope.subjects:
        if name in (one.name, one.digest):
            return True
        purl = parse_purl(name) if name.startswith("pkg:") else None
        # pkg:oci/app@sha256:… is named by its digest, whatever the registry it came from.
        if purl is not None and one.digest and purl.version == one.digest:
            return True
    return False


def _link(bom: Bom, ref: str) -> str | None:
    """The BOM link (CycloneDX) of a component, without the document's version."""
    return f"urn:cdx:{bom.serial.removeprefix('urn:uuid:')}#{ref}" if bom.serial else None


def _covers(general: str, particular: str) -> bool:
    """Whether the package URL ``general`` names ``particular``: what it leaves out may be anything."""
    first, second = parse_purl(general), parse_purl(particular)
    if first is None or second is None:
        return False
    same = (first.type, first.namespace, first.name) == (second.type, second.namespace, second.name)
    if not same or (first.version and first.version != second.version):
        return False
    return _qualifiers(first).items() <= _qualifiers(second).items()


def _qualifiers(purl: PackageURL) -> dict[str, Any]:
    return dict(purl.qualifiers) if isinstance(purl.qualifiers, dict) else {}
