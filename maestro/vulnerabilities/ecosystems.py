"""From a package URL to what the advisory database calls it: ecosystem, release, name, version."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from packageurl import PackageURL

_DEBIAN = {"buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14"}
_NOT_PACKAGES = frozenset(
    {"generic", "oci", "docker", "github", "gitlab", "bitbucket", "swid", "huggingface", "mlflow"}
)
_RED_HAT_RELEASE = re.compile(r"(?:enterprise_linux|rhel_[a-z0-9_]+):(\d+)|::el(\d+)")
_MAJOR = re.compile(r"(?:^|[^0-9])(\d+)")


class NotMatchedError(Exception):
    """The package cannot be looked up; the message is a sentence for people.

    Args:
        package: it is a package of some ecosystem, so leaving it out is a gap; False: an image, a source archive.
    """

    def __init__(self, reason: str, *, package: bool = True) -> None:
        super().__init__(reason)
        self.package = package


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where to look a package up.

    Args:
        ecosystem: of OSV, without its release (``Debian``).
        release: ``12``, ``v3.18``, ``8``; empty where an ecosystem has none; None: has some, but it is not known which.
        name: as :func:`normal_name` makes it.
        version: None: the package has none.
    """

    ecosystem: str
    release: str | None
    name: str
    version: str | None

    @property
    def label(self) -> str:
        """``Debian:12``, as OSV writes it."""
        return f"{self.ecosystem}:{self.release}" if self.release else self.ecosystem


def normal_name(ecosystem: str, name: str) -> str:
    """``name`` so that equal packages have equal names.

    Case goes where package URLs lose it (npm, Go): then a finding may be one too many, never one too few.
    """
    if ecosystem == "PyPI":
        return re.sub(r"[-_.]+", "-", name).lower()  # PEP 503
    if ecosystem == "crates.io":
        return name.lower().replace("_", "-")
    return name if ecosystem in ("Maven", "RubyGems") else name.lower()


def split_ecosystem(text: str) -> tuple[str, str]:
    """Ecosystem and release of ``text`` as OSV writes it: ``Debian:12`` -> ``Debian``, ``12``.

    A release is empty where it does not matter. Red Hat's is a part of a CPE; what matters is the major number.
    """
    ecosystem, _, release = text.partition(":")
    if ecosystem in ("Debian", "Alpine"):
        return ecosystem, release
    if ecosystem == "Red Hat":
        match = _RED_HAT_RELEASE.search(release)
        return ecosystem, (match[1] or match[2]) if match else ""
    return ecosystem, ""


def coordinates(purl: PackageURL) -> Coordinates:
    """Where to look ``purl`` up.

    Raises:
        NotMatchedError: its type, or its distribution, is none that is matched.
    """
    if purl.type in _NOT_PACKAGES:
        raise NotMatchedError(f"advisories do not name packages of type '{purl.type}'", package=False)
    find = _TYPES.get(purl.type)
    if find is None:
        raise NotMatchedError(f"packages of type '{purl.type}' are not matched")
    return find(purl)


def _plain(ecosystem: str, separator: str = "/") -> Callable[[PackageURL], Coordinates]:
    def find(purl: PackageURL) -> Coordinates:
        name = f"{purl.namespace}{separator}{purl.name}" if purl.namespace else purl.name
        return Coordinates(ecosystem, "", normal_name(ecosystem, name), purl.version or None)

    return find


def _debian(purl: PackageURL) -> Coordinates:
    _only(purl, "deb", "debian")
    distro = _distro(purl)
    word = distro.rpartition("-")[2].partition(".")[0] if distro else ""
    release = _DEBIAN.get(word, word if word.isdigit() else None)
    # Advisories name source packages.
    name, version = _upstream(purl)
    return Coordinates("Debian", release, normal_name("Debian", name), version)


def _alpine(purl: PackageURL) -> Coordinates:
    _only(purl, "apk", "alpine")
    match = re.search(r"(\d+)\.(\d+)", _distro(purl))
    name, version = _upstream(purl)
    release = f"v{match[1]}.{match[2]}" if match else None
    return Coordinates("Alpine", release, normal_name("Alpine", name), version)


def _red_hat(purl: PackageURL) -> Coordinates:
    _only(purl, "rpm", "redhat")
    match = _MAJOR.search(_distro(purl))
    version = purl.version or None
    epoch = _qualifier(purl, "epoch")
    if version and epoch and ":" not in version:
        version = f"{epoch}:{version}"
    # Red Hat's advisories name binary packages.
    return Coordinates("Red Hat", match[1] if match else None, normal_name("Red Hat", purl.name), version)


def _only(purl: PackageURL, kind: str, distribution: str) -> None:
    if (purl.namespace or distribution).lower() != distribution:
        raise NotMatchedError(f"packages of '{kind}/{purl.namespace}' are not matched")


def _upstream(purl: PackageURL) -> tuple[str, str | None]:
    """Name and version of the source package a binary package was made from, as syft's qualifier says."""
    name, _, version = _qualifier(purl, "upstream").partition("@")
    return name or purl.name, version or purl.version or None


def _distro(purl: PackageURL) -> str:
    return _qualifier(purl, "distro").lower()


def _qualifier(purl: PackageURL, name: str) -> str:
    qualifiers = purl.qualifiers
    return str(qualifiers.get(name) or "") if isinstance(qualifiers, dict) else ""


_TYPES: dict[str, Callable[[PackageURL], Coordinates]] = {
    "pypi": _plain("PyPI"),
    "npm": _plain("npm"),
    "golang": _plain("Go"),
    "maven": _plain("Maven", ":"),
    "gem": _plain("RubyGems"),
    "cargo": _plain("crates.io"),
    "deb": _debian,
    "apk": _alpine,
    "rpm": _red_hat,
}
