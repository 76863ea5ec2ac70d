"""Which of two versions is newer, by the rules of the ecosystem they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key, lru_cache
from typing import Any, Literal, TypeAlias

from maestro.sbom.model import Component

Direction: TypeAlias = Literal["up", "down", "other"]

# univers' names differ from package URL types only here; what it has no rules for is compared as SemVer if it is one.
_SCHEMES = {"github": "semver", "githubactions": "semver", "swift": "semver", "hex": "semver", "pub": "semver"}


def direction(kind: str, before: str | None, after: str | None) -> Direction:
    """Where a version went.

    Args:
        kind: type of the package URL (``pypi``, ``npm``, ``deb`` …).
        before: as it was.
        after: as it is.
    """
    compared = _compared(kind, before, after)
    return "other" if compared is None or compared == 0 else "up" if compared < 0 else "down"


def in_order(kind: str, components: Sequence[Component]) -> list[Component]:
    """Components of one name, oldest first; as text where the rules do not say."""
    if len(components) < 2:
        return list(components)

    def compare(one: Component, other: Component) -> int:
        return _compared(kind, one.version, other.version) or 0

    return sorted(sorted(components, key=lambda one: one.version or ""), key=cmp_to_key(compare))


def _compared(kind: str, one: str | None, other: str | None) -> int | None:
    if not one or not other:
        return None
    first, second = _parsed(kind, one), _parsed(kind, other)
    if first is None or second is None:
        return None
    try:
        return -1 if first < second else 1 if second < first else 0
    # Some of its version classes compare parts of different types.
    except (TypeError, ValueError, AttributeError):
        return None


@lru_cache(maxsize=65_536)
def _parsed(kind: str, version: str) -> Any | None:
    if len(version) > 256:
        return None
    version_class = _version_class(kind)
    if version_class is None:
        return None
    try:
        return version_class(version)
    except Exception:  # noqa: BLE001 - each ecosystem's parser has errors of its own for what is no version
        return None


@lru_cache(maxsize=64)
def _version_class(kind: str) -> Any | None:
    if kind == "pypi":
        from packaging.version import Version

        return Version
    from univers import versions
    from univers.version_range import RANGE_CLASS_BY_SCHEMES

    found = RANGE_CLASS_BY_SCHEMES.get(_SCHEMES.get(kind, kind))
    return versions.SemverVersion if found is None else found.version_class
