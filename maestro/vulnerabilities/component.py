"""A component of an SBOM as a scan sees it, with its package URL taken apart once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from packageurl import PackageURL


@dataclass(frozen=True, slots=True)
class Component:
    """One component.

    Args:
        name: as the SBOM gives it, with its group where it has one.
        version: empty when there is none.
        purl: package URL; None when there is none.
        ref: its ``bom-ref``, by which VEX documents name it.
    """

    name: str
    version: str = ""
    purl: str | None = None
    ref: str | None = None

    @property
    def label(self) -> str:
        """What reports call it."""
        return self.purl or (f"{self.name} {self.version}" if self.version else self.name)


@dataclass(frozen=True, slots=True)
class Bom:
    """What a scan needs of a CycloneDX document.

    Args:
        components: nested ones too, in the order of the document.
        serial: ``serialNumber``, ``urn:uuid:…``.
        subject: what the document is about (``metadata.component``).
    """

    components: tuple[Component, ...]
    serial: str | None = None
    subject: Component | None = None


@lru_cache(maxsize=100_000)
def parse_purl(text: str) -> PackageURL | None:
    """``text`` taken apart; None when it is no package URL."""
    try:
        return PackageURL.from_string(text)
    except ValueError:
        return None
