"""Components out of SPDX JSON (2.2 and 2.3)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from maestro.sbom import fields
from maestro.sbom.license_names import expression_of
from maestro.sbom.limits import Limits
from maestro.sbom.model import Component

_DOCUMENT = "SPDXRef-DOCUMENT"
_TYPES = {"OPERATING-SYSTEM": "operating-system", "SOURCE": "library", "OTHER": "library", "ARCHIVE": "file"}
_HASHES = {"SHA1": "SHA-1", "SHA256": "SHA-256", "SHA384": "SHA-384", "SHA512": "SHA-512"}


def components_of(value: Any, place: str, described: Collection[str], limits: Limits) -> Iterator[Component]:
    """One entry of ``packages``, unless it is what the document describes.

    Raises:
        SbomError: it is not what SPDX says.
    """
    holder = fields.mapping(value, place)
    component = component_of(holder, place, limits)
    if fields.text(holder, "SPDXID", place, limits) not in described:
        yield component


def component_of(holder: Mapping[str, Any], place: str, limits: Limits) -> Component:
    """The component an object of ``packages`` describes.

    Raises:
        SbomError: it is not what SPDX says.
    """
    purpose = fields.text(holder, "primaryPackagePurpose", place, limits) or "LIBRARY"
    # What the maker of the document concluded stands over what the package declares (SPDX 2.3, 7.13 and 7.15).
    licenses = [fields.text(holder, key, place, limits) or "" for key in ("licenseConcluded", "licenseDeclared")]
    found = next((one for one in map(expression_of, licenses) if one), None)
    return Component(
        purl=_purl(holder, place, limits),
        name=fields.needed(holder, "name", place, limits),
        version=fields.text(holder, "versionInfo", place, limits),
        licenses=fields.shared(found) if found else None,
        type=fields.shared(_TYPES.get(purpose, purpose.lower())),
        hashes=_hashes(holder, place, limits),
    )


def described_by(value: Any) -> Iterator[str]:
    """The package a relationship says the document describes, if it says so."""
    if not isinstance(value, dict):
        return
    one, kind, other = (value.get(key) for key in ("spdxElementId", "relationshipType", "relatedSpdxElement"))
    if kind == "DESCRIBES" and one == _DOCUMENT and isinstance(other, str):
        yield other
    elif kind == "DESCRIBED_BY" and other == _DOCUMENT and isinstance(one, str):
        yield one


def _purl(holder: Mapping[str, Any], place: str, limits: Limits) -> str | None:
    for number, entry in enumerate(fields.listed(holder, "externalRefs", place)):
        where = f"{place}.externalRefs[{number}]"
        one = fields.mapping(entry, where)
        if one.get("referenceType") == "purl":
            return fields.text(one, "referenceLocator", where, limits)
    return None


def _hashes(holder: Mapping[str, Any], place: str, limits: Limits) -> tuple[tuple[str, str], ...]:
    found = []
    for number, entry in enumerate(fields.listed(holder, "checksums", place)):
        where = f"{place}.checksums[{number}]"
        one = fields.mapping(entry, where)
        algorithm = fields.needed(one, "algorithm", where, limits)
        digits = fields.needed(one, "checksumValue", where, limits).lower()
        found.append((fields.shared(_HASHES.get(algorithm, algorithm)), digits))
    return tuple(sorted(found))
