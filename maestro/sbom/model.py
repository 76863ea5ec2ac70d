"""What every reader of a bill of materials works with, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CYCLONEDX = "CycloneDX"
SPDX = "SPDX"

CYCLONEDX_MEDIA_TYPE = "application/vnd.cyclonedx+json"
SPDX_MEDIA_TYPE = "application/spdx+json"

CYCLONEDX_PREDICATE = "https://cyclonedx.org/bom"
SPDX_PREDICATE = "https://spdx.dev/Document"


@dataclass(frozen=True, slots=True)
class Component:
    """One thing a subject is made of.

    Args:
        purl: package URL with version and qualifiers; None when the document gives none.
        name: with its namespace, as people of that ecosystem write it (``@babel/core``, ``org.slf4j/slf4j-api``).
        version: None when not known, as for a requirement nobody has resolved.
        licenses: one SPDX expression; what is no SPDX licence stands in it as ``LicenseRef-…``; None when not known.
        type: CycloneDX 1.6 component type (``library``, ``operating-system`` …).
        hashes: (algorithm as CycloneDX spells it, hexadecimal digits), sorted.
    """

    purl: str | None
    name: str
    version: str | None = None
    licenses: str | None = None
    type: str = "library"
    hashes: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        return {
            "purl": self.purl,
            "name": self.name,
            "version": self.version,
            "licenses": self.licenses,
            "type": self.type,
            "hashes": dict(self.hashes),
        }


@dataclass(frozen=True, slots=True)
class Sbom:
    """A bill of materials, read.

    Args:
        format: ``CycloneDX`` or ``SPDX``.
        version: of the format, ``1.6`` or ``2.3``.
        subject: what it describes, when it says so.
        components: everything in it but the subject, in the document's order.
    """

    format: str
    version: str
    subject: Component | None
    components: tuple[Component, ...]


def license_counts(components: tuple[Component, ...]) -> Mapping[str, int]:
    """SPDX expression -> number of components under it, most frequent first; ``unknown`` for none."""
    counts: dict[str, int] = {}
    for one in components:
        name = one.licenses or "unknown"
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
