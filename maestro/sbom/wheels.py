"""Python packages: what one says about itself, and what it needs (PEP 427, PEP 508, core metadata 2.4)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from maestro.errors import Location
from maestro.sbom.errors import SbomError
from maestro.sbom.license_names import joined
from maestro.sbom.normalise import ROOT_REF, Found, Root

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_METADATA_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wheel:
    """What a wheel's METADATA says.

    Args:
        name: as its author spells it.
        version: of the package.
        licenses: SPDX expression; None when it says nothing usable.
        requires: requirements as written.
    """

    name: str
    version: str
    licenses: str | None
    requires: tuple[str, ...]

    def root(self, sha256: str) -> Root:
        """The wheel as the subject of a bill of materials."""
        return Root(self.name, "library", self.version, _purl(self.name, self.version), sha256, self.licenses)


def read_wheel(file: Path) -> Wheel:
    """Read a wheel's METADATA.

    Raises:
        SbomError: it is no wheel.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            named = [one for one in archive.namelist() if one.count("/") == 1 and one.endswith(".dist-info/METADATA")]
            if len(named) != 1:
                raise SbomError(
                    f"the wheel has {len(named)} METADATA files instead of one",
                    where=Location(file.name),
                    next_step="build it with a build backend (PEP 517)",
                )
            with archive.open(named[0]) as stream:
                about = BytesParser().parsebytes(stream.read(_METADATA_LIMIT), headersonly=True)
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError) as error:
        raise SbomError(
            f"this is no wheel: {str(error)[:200]}",
            where=Location(file.name),
            next_step="build it with a build backend (PEP 517)",
        ) from error
    return _described(about, file.name)


def read_sdist(folder: Path) -> Wheel | None:
    """What an unpacked source distribution says about itself in PKG-INFO; None when this is none.

    Raises:
        SbomError: its PKG-INFO has no name or version.
    """
    found = sorted(folder.glob("*/PKG-INFO"))
    if len(found) != 1:
        return None
    with found[0].open("rb") as stream:
        about = BytesParser().parsebytes(stream.read(_METADATA_LIMIT), headersonly=True)
    return _described(about, found[0].parent.name)


def _described(about: Message, file: str) -> Wheel:
    name, version = about.get("Name"), about.get("Version")
    if not name or not version:
        raise SbomError(
            "the package's metadata has no name or no version",
            where=Location(file),
            next_step="build it with a build backend (PEP 517)",
        )
    return Wheel(str(name), str(version), _licenses(about), tuple(map(str, about.get_all("Requires-Dist") or ())))


def unresolved(wheel: Wheel) -> Found:
    """What the wheel says it needs: names with what it demands of them, no versions.

    Raises:
        SbomError: a requirement is none (PEP 508).
    """
    wanted: dict[str, list[Requirement]] = {}
    for one in _requirements(wheel.requires, wheel.name):
        wanted.setdefault(_canonical(one.name), []).append(one)
    components = [
        {
            "bom-ref": name,
            "type": "library",
            "name": name,
            "purl": _purl(name, None),
            # Only with an extra: nobody gets it who does not ask for it.
            "scope": "optional" if all(_needs_extra(one) for one in requirements) else "required",
            "properties": [{"name": "maestro:requirement", "value": str(one)} for one in requirements],
        }
        for name, requirements in wanted.items()
    ]
    return Found(components, [{"ref": ROOT_REF, "dependsOn": list(wanted)}])


def resolved(wheel: Wheel, environment: Path, extras: Sequence[str] = ()) -> tuple[Found, tuple[str, ...]]:
    """What the wheel needs as it is installed in a virtual environment, with all that needs in turn.

    Returns:
        What was found, and the names of what is needed and not installed.

    Raises:
        SbomError: it is no virtual environment, or a requirement is none.
    """
    installed = {
        _canonical(_about(one).get("Name", "")): one
        for one in reversed(list(distributions(path=[str(one) for one in _site_packages(environment)])))
        if _about(one).get("Name")
    }
    markers = _markers(environment)
    components: dict[str, dict[str, Any]] = {}
    edges: dict[str, list[str]] = {}
    missing: set[str] = set()
    waiting: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [(ROOT_REF, wheel.requires, tuple(extras))]
    done: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        ref, requires, wanted_extras = waiting.pop()
        for one in _requirements(requires, wheel.name if ref == ROOT_REF else ref):
            if not _applies(one, wanted_extras, markers):
                continue
            name = _canonical(one.name)
            edges.setdefault(ref, []).append(name)
            found = installed.get(name)
            if found is None:
                missing.add(name)
                components.setdefault(name, _component(name, None))
                continue
            components.setdefault(name, _component(name, found))
            step = (name, tuple(sorted(one.extras)))
            if step not in done:
                done.add(step)
                waiting.append((name, tuple(found.requires or ()), step[1]))
    return (
        Found(list(components.values()), [{"ref": ref, "dependsOn": targets} for ref, targets in edges.items()]),
        tuple(sorted(missing)),
    )


def is_environment(folder: Path) -> bool:
    """Whether the folder is a virtual environment (PEP 405)."""
    return (folder / "pyvenv.cfg").is_file()


def _site_packages(environment: Path) -> list[Path]:
    found = sorted(environment.glob("lib/python3*/site-packages"))
    if not is_environment(environment) or not found:
        raise SbomError(
            f"'{environment.name}' is no virtual environment",
            next_step="name the folder in which `python -m venv` made one",
        )
    return found


def _markers(environment: Path) -> dict[str, str]:
    """PEP 508 markers of the environment's own interpreter, as far as it differs from this one."""
    configured = (environment / "pyvenv.cfg").read_text("utf-8", errors="replace")
    for line in configured.splitlines():
        key, _, value = line.partition("=")
        if key.strip() in ("version", "version_info"):
            parts = value.strip().split(".")[:3]
            if len(parts) >= 2 and all(part.isdigit() for part in parts):
                full = ".".join(parts)
                return {"python_version": ".".join(parts[:2]), "python_full_version": full}
    return {}


def _component(name: str, found: Distribution | None) -> dict[str, Any]:
    made: dict[str, Any] = {"bom-ref": name, "type": "library", "name": name}
    if found is None:
        return {**made, "purl": _purl(name, None), "properties": [{"name": "maestro:installed", "value": "false"}]}
    version = str(_about(found).get("Version") or "")
    made |= {"version": version, "purl": _purl(name, version)}
    licenses = _licenses(_about(found))
    if licenses:
        made["licenses"] = [{"license": {"name": licenses}}]
    return made


def _about(found: Distribution) -> Message:
    """Its metadata, of which ``get`` is used: the backport of importlib.metadata raises for what is not there."""
    return cast("Message", found.metadata)


def _licenses(about: Message) -> str | None:
    """Its SPDX expression (PEP 639); else the short name it gives, else its classifiers."""
    written = about.get("License-Expression")
    if written:
        return joined([str(written)])
    # Metadata made before PEP 639 may hold the whole text of a licence there.
    name = str(about.get("License") or "").strip()
    if name and "\n" not in name and len(name) < 100:
        found = joined([name])
        if found:
            return found
    prefix = "License :: "
    listed = [str(one) for one in about.get_all("Classifier") or () if str(one).startswith(prefix)]
    return joined(one.rpartition(" :: ")[2] for one in listed if one != "License :: OSI Approved")


def _requirements(texts: Iterable[str], of: str) -> list[Requirement]:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return [Requirement(one) for one in texts]
    except InvalidRequirement as error:
        raise SbomError(
            f"'{of}' has a requirement that is none: {str(error).splitlines()[0][:200]}",
            next_step="correct it in the package's metadata (PEP 508)",
        ) from error


def _applies(requirement: Requirement, extras: Sequence[str], markers: Mapping[str, str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({**markers, "extra": extra}) for extra in ("", *extras))


def _needs_extra(requirement: Requirement) -> bool:
    return requirement.marker is not None and "extra" in str(requirement.marker)


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(name))


def _purl(name: str, version: str | None) -> str:
    from packageurl import PackageURL

    return str(PackageURL("pypi", name=_canonical(name), version=version).to_string())
