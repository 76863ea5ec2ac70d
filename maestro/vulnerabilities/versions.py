"""The order of versions in each ecosystem, as things that can be compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, TypeAlias

Order: TypeAlias = Callable[[str], Any]
"""Turns a version into something with ``<`` and ``==``; raises UnreadableVersionError."""

_LENGTH = 256
_PLAIN = re.compile(r"[!-~]+")
_SHORT = re.compile(r"(?P<major>\d+)(?:\.(?P<minor>\d+))?(?P<rest>[-+].*)?")
_GO_RELEASE = re.compile(r"(?P<core>\d+\.\d+(?:\.\d+)?)(?P<kind>beta|rc)(?P<number>\d+)")
_ALPINE_SNAPSHOT = re.compile(r"_(?:cvs|svn|git|hg)(?=\d|_|-|$)")


class UnreadableVersionError(ValueError):
    """A version that its ecosystem does not know how to order."""


@cache
def order_of(ecosystem: str) -> Order:
    """The order of an OSV ecosystem (``PyPI``); the same function for the same name, with a memory of its own.

    Raises:
        KeyError: none is known.
    """
    make = _ORDERS[ecosystem]

    @lru_cache(maxsize=200_000)
    def order(version: str) -> Any:
        # Libraries strip spaces and drop what is no ASCII; what is left would be another version.
        if len(version) > _LENGTH or not _PLAIN.fullmatch(version):
            raise UnreadableVersionError(f"{version[:60]!r} is no version of {ecosystem}")
        try:
            return make(version)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise UnreadableVersionError(f"{version[:60]!r} is no version of {ecosystem}") from error

    return order


def _pypi(version: str) -> Any:
    from packaging.version import Version

    return Version(version)


def _semver(version: str) -> Any:
    """Semantic Versioning 2.0.0, section 11: the build part does not count (univers lets it)."""
    from semantic_version import Version  # type: ignore[import-untyped]  # publishes no types

    plain = version.removeprefix("v")
    if match := _SHORT.fullmatch(plain):
        plain = f"{match['major']}.{match['minor'] or 0}.0{match['rest'] or ''}"
    return Version(plain).precedence_key[:4]


def _go(version: str) -> Any:
    # Releases of Go itself: go1.21rc2 is 1.21.0-rc.2 in the Go vulnerability database.
    plain = version.removeprefix("go")
    if match := _GO_RELEASE.fullmatch(plain):
        core = match["core"] if match["core"].count(".") == 2 else f"{match['core']}.0"
        plain = f"{core}-{match['kind']}.{match['number']}"
    return _semver(plain)


def _alpine(version: str) -> Any:
    # The order is Gentoo's, which lacks the snapshot suffixes; both they and `_p` follow the release itself.
    return _univers("AlpineLinuxVersion")(_ALPINE_SNAPSHOT.sub("_p", version))


def _univers(name: str) -> Callable[[str], Any]:
    import univers.versions

    made: Callable[[str], Any] = getattr(univers.versions, name)
    return made


_ORDERS: dict[str, Order] = {
    "PyPI": _pypi,
    "npm": _semver,
    "crates.io": _semver,
    "Go": _go,
    "Maven": lambda version: _univers("MavenVersion")(version),
    "RubyGems": lambda version: _univers("RubygemsVersion")(version),
    "Debian": lambda version: _univers("DebianVersion")(version),
    "Alpine": _alpine,
    "Red Hat": lambda version: _univers("RpmVersion")(version),
}

ECOSYSTEMS: tuple[str, ...] = tuple(_ORDERS)
"""The OSV ecosystems that are matched."""
