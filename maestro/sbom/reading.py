"""Reads CycloneDX 1.2 to 1.7 and SPDX 2.2 and 2.3, in JSON, from anywhere: as a stream and within limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maestro.sbom import cyclonedx_reading, spdx_reading
from maestro.sbom.errors import SbomError
from maestro.sbom.limits import LIMITS, Limits
from maestro.sbom.model import CYCLONEDX, SPDX, Component, Sbom
from maestro.sbom.stream import place_of, top_level, wrong

_CYCLONEDX_VERSIONS = ("1.2", "1.3", "1.4", "1.5", "1.6", "1.7")
_SPDX_VERSIONS = ("SPDX-2.2", "SPDX-2.3")
_WANTED = ("bomFormat", "specVersion", "metadata", "spdxVersion", "documentDescribes")
_STREAMED = ("components", "packages", "relationships")


class _Header:
    """What the document says of itself, as far as it was read."""

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}
        self.described: set[str] = set()
        self.format: str | None = None

    def take(self, key: str, value: Any) -> None:
        self.members[key] = value
        if key == "documentDescribes":
            self.described.update(_texts(value, key))

    def belongs_to(self, name: str, key: str) -> None:
        if self.format not in (None, name):
            raise SbomError(
                "the document is CycloneDX and SPDX at once",
                next_step="make it anew; readers would see different things",
            )
        self.format = name
        if (name == CYCLONEDX and "spdxVersion" in self.members) or (name == SPDX and "bomFormat" in self.members):
            raise SbomError(f"the document has '{key}', which its format has not", next_step="make it anew")

    def checked(self) -> tuple[str, str]:
        """Format and version.

        Raises:
            SbomError: neither CycloneDX nor SPDX, or a version unknown here.
        """
        says_cyclonedx = self.members.get("bomFormat") == CYCLONEDX
        if says_cyclonedx == ("spdxVersion" in self.members):
            raise SbomError(
                "the document is neither CycloneDX nor SPDX 2: it has no 'bomFormat' or 'spdxVersion', or both",
                next_step="give a bill of materials in JSON: CycloneDX 1.6 or SPDX 2.3",
            )
        name = CYCLONEDX if says_cyclonedx else SPDX
        self.belongs_to(name, "packages" if says_cyclonedx else "components")
        version = self.members.get("specVersion" if says_cyclonedx else "spdxVersion")
        known = _CYCLONEDX_VERSIONS if says_cyclonedx else _SPDX_VERSIONS
        if version not in known:
            raise SbomError(
                f"the document is {name} {str(version)[:20]!r}; read are {known[0]} to {known[-1]}",
                next_step="convert it to CycloneDX 1.6 or SPDX 2.3",
            )
        return name, str(version).removeprefix("SPDX-")


def iter_components(source: Path | bytes, limits: Limits = LIMITS) -> Iterator[Component]:
    """The components of a document one at a time; memory does not grow with their number.

    The thing described is not among them. A document that turns out broken raises only when reading has got there.

    Raises:
        SbomError: too large, no JSON, no bill of materials, of the wrong types, or nested too deep.
    """
    yield from _components(source, limits, _Header())


def read_sbom(source: Path | bytes, limits: Limits = LIMITS) -> Sbom:
    """A whole document.

    Raises:
        SbomError: as :func:`iter_components`.
    """
    header = _Header()
    components = tuple(_components(source, limits, header))
    name, version = header.checked()
    if name == CYCLONEDX:
        subject = cyclonedx_reading.subject_of(header.members.get("metadata"), limits)
    else:
        subject = next(iter(_roots(source, header, limits)), None)
    return Sbom(name, version, subject, components)


def _components(source: Path | bytes, limits: Limits, header: _Header) -> Iterator[Component]:
    count = 0
    try:
        for key, value in top_level(source, _WANTED, _STREAMED, limits):
            if key == "components":
                header.belongs_to(CYCLONEDX, key)
                found = cyclonedx_reading.components_of(value, f"components[{count}]", limits)
            elif key == "packages":
                header.belongs_to(SPDX, key)
                if not count:
                    # Which package is described may be said after the packages, so it is looked up beforehand.
                    header.described |= _described(source, limits)
                found = spdx_reading.components_of(value, f"packages[{count}]", header.described, limits)
            else:
                if key in _WANTED:
                    header.take(key, value)
                continue
            for component in found:
                count += 1
                if count > limits.components:
                    raise SbomError(
                        f"the document lists more than {limits.components:,} components", next_step="split it"
                    )
                yield component
        header.checked()
    except SbomError as error:
        raise SbomError(error.what, where=place_of(source), next_step=error.next_step) from error


def _described(source: Path | bytes, limits: Limits) -> set[str]:
    described: set[str] = set()
    for key, value in top_level(source, ("documentDescribes",), ("relationships",), limits):
        if key == "documentDescribes":
            described.update(_texts(value, key))
        else:
            described.update(spdx_reading.described_by(value))
    return described


def _roots(source: Path | bytes, header: _Header, limits: Limits) -> Iterator[Component]:
    if header.described:
        for _, value in top_level(source, (), ("packages",), limits):
            if value.get("SPDXID") in header.described:
                yield spdx_reading.component_of(value, "packages", limits)


def _texts(value: Any, key: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise wrong(key, "a list of texts", value)
    return value
