"""CycloneDX VEX (1.4 to 1.6): the ``vulnerabilities`` of a document with an ``analysis``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from maestro.vulnerabilities.report import Status
from maestro.vulnerabilities.vex import Product, Statement, said_at

_STATES: dict[str, Status] = {
    "not_affected": "not_affected",
    "false_positive": "not_affected",
    "resolved": "fixed",
    "resolved_with_pedigree": "fixed",
    "exploitable": "affected",
    "in_triage": "under_investigation",
}


def statements(document: Mapping[str, Any], name: str) -> list[Statement]:
    """The statements of ``document``; vulnerabilities without an analysis say nothing.

    Raises:
        KeyError, TypeError, ValueError: it breaks the format.
    """
    known = dict(_known(document))
    serial = str(document.get("serialNumber") or "").removeprefix("urn:uuid:")
    metadata = document.get("metadata") or {}
    found: list[Statement] = []
    for one in document["vulnerabilities"]:
        analysis = one.get("analysis") or {}
        if "state" not in analysis:
            continue
        state = analysis["state"]
        if state not in _STATES:
            raise ValueError(f"analysis state {str(state)[:40]!r} is none of {', '.join(_STATES)}")
        why = [str(analysis[member]) for member in ("justification", "detail") if analysis.get(member)]
        references = [reference["id"] for reference in one.get("references") or () if "id" in reference]
        found.append(
            Statement(
                ids=frozenset(str(each) for each in (one["id"], *references)),
                products=tuple(_products(one, known, serial)),
                status=_STATES[state],
                justification=": ".join(why) or None,
                at=said_at(analysis.get("lastUpdated"), one.get("updated"), metadata.get("timestamp")),
                source=name,
            )
        )
    return found


def _known(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """``bom-ref`` -> package URL, for the components the document itself describes."""
    metadata = document.get("metadata") or {}
    waiting = [one for one in (metadata.get("component"), *(document.get("components") or ())) if one]
    while waiting:
        component = waiting.pop()
        if component.get("bom-ref") and component.get("purl"):
            yield str(component["bom-ref"]), str(component["purl"])
        waiting += component.get("components") or ()


def _products(document: Mapping[str, Any], known: Mapping[str, str], serial: str) -> Iterator[Product]:
    for one in document.get("affects") or ():
        reference = str(one["ref"])
        names = {known.get(reference, "")}
        if reference.startswith(("pkg:", "urn:cdx:")):
            names.add(reference)
        elif serial:
            # A plain reference into the same document, when the scanned SBOM is that document.
            names.add(f"urn:cdx:{serial}#{reference}")
        versions = [str(each["version"]) for each in one.get("versions") or () if "version" in each]
        names.discard("")
        if versions:
            # Of the versions only exact ones are understood; a range narrows to nothing rather than to everything.
            names = {f"{name}@{version}" for name in names for version in versions if _unversioned(name)}
        if names:
            yield Product(tuple(sorted(names)))


def _unversioned(name: str) -> bool:
    return name.startswith("pkg:") and "@" not in name.rpartition("/")[2]
