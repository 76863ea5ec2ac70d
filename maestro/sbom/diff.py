"""Compares two bills of materials by what components are called, never by their order in the document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from maestro.sbom.model import Component, Sbom
from maestro.sbom.versions import Direction, direction, in_order

_PYPI_SEPARATORS = re.compile(r"[-_.]+")

Key: TypeAlias = tuple[str, str]
"""Kind of package and its name with namespace: two components with one key are versions of the same thing."""


@dataclass(frozen=True, slots=True)
class Change:
    """A component that is there before and after, in another version.

    Args:
        before: as it was.
        after: as it is.
        direction: ``up``, ``down``, or ``other`` when nobody can say which is newer.
    """

    before: Component
    after: Component
    direction: Direction


@dataclass(frozen=True, slots=True)
class LicenseChange:
    """A component under other licences than before.

    Args:
        component: as it is.
        before: SPDX expressions of its versions before, sorted; empty when none was known.
        after: the same, now.
    """

    component: Component
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SbomDiff:
    """What differs between two bills of materials; every list is sorted by name and version.

    Args:
        subject: what they are about.
        added: components that were not there.
        removed: components that are no longer there.
        changed: components in another version.
        licenses: components under another licence.
        new_licenses: expressions that stood nowhere before -> number of components under them.
        unchanged: number of components that are the same.
        before: number of components before.
        after: number of components after.
    """

    subject: str
    added: tuple[Component, ...]
    removed: tuple[Component, ...]
    changed: tuple[Change, ...]
    licenses: tuple[LicenseChange, ...]
    new_licenses: Mapping[str, int]
    unchanged: int
    before: int
    after: int

    @property
    def is_empty(self) -> bool:
        """Nothing differs."""
        return not (self.added or self.removed or self.changed or self.licenses)


def compare(before: Sbom, after: Sbom) -> SbomDiff:
    """What differs between two bills of materials.

    Components are matched by package URL without version and qualifiers, else by type and name. Where one name has
    several versions, those on both sides are the same; of the rest, the oldest gone is paired with the oldest come,
    and what is left over is added or removed.
    """
    old, new = _by_key(before.components), _by_key(after.components)
    added: list[Component] = []
    removed: list[Component] = []
    changed: list[Change] = []
    licenses: list[LicenseChange] = []
    unchanged = 0
    for key in old.keys() | new.keys():
        were, are = old.get(key, {}), new.get(key, {})
        unchanged += len(were.keys() & are.keys())
        gone = in_order(key[0], [were[version] for version in were.keys() - are.keys()])
        come = in_order(key[0], [are[version] for version in are.keys() - were.keys()])
        pairs = min(len(gone), len(come))
        changed += [
            Change(one, other, direction(key[0], one.version, other.version))
            for one, other in zip(gone[:pairs], come[:pairs], strict=True)
        ]
        removed += gone[pairs:]
        added += come[pairs:]
        if were and are:
            licenses += _license_change(were, are)
    subject = after.subject or before.subject
    return SbomDiff(
        subject=subject.name if subject else "",
        added=_sorted(added),
        removed=_sorted(removed),
        changed=tuple(sorted(changed, key=lambda one: _order(one.after))),
        licenses=tuple(sorted(licenses, key=lambda one: _order(one.component))),
        new_licenses=_new_licenses(before.components, after.components),
        unchanged=unchanged,
        before=sum(map(len, old.values())),
        after=sum(map(len, new.values())),
    )


def new_components(before: Iterable[Component], after: Iterable[Component]) -> tuple[Component, ...]:
    """Components of ``after`` whose name ``before`` does not have in any version, sorted; one a name and version."""
    known = _by_key(before)
    return _sorted(one for key, versions in _by_key(after).items() if key not in known for one in versions.values())


def key_of(component: Component) -> Key:
    """What a component is called, whatever its version."""
    purl = component.purl
    if purl is not None:
        found = _purl_key(purl)
        if found is not None:
            return found
    return component.type, component.name


def _purl_key(purl: str) -> Key | None:
    """Type, and namespace with name, of a package URL; None when it is none.

    By hand, as a comparison parses tens of thousands, and only this part is needed: what comes before the version,
    the qualifiers and the subpath (package-url specification, "How to parse").
    """
    scheme, _, rest = purl.partition(":")
    path = rest.partition("#")[0].partition("?")[0].strip("/")
    kind, slash, name = path.partition("/")
    if scheme != "pkg" or not slash or not name:
        return None
    # An @ before the last slash belongs to a scope of npm that nobody encoded.
    place = name.rfind("@")
    if place > max(0, name.rfind("/")):
        name = name[:place]
    kind = kind.lower()
    if kind == "pypi":
        name = _PYPI_SEPARATORS.sub("-", name.lower())
    return kind, unquote(name) if "%" in name else name


def _by_key(components: Iterable[Component]) -> dict[Key, dict[str, Component]]:
    found: dict[Key, dict[str, Component]] = {}
    for one in components:
        versions = found.setdefault(key_of(one), {})
        version = one.version or ""
        known = versions.get(version)
        # The same version in two places, or for two architectures, is one component; the better described one stays.
        if known is None or (known.licenses is None and one.licenses is not None):
            versions[version] = one
    return found


def _license_change(were: Mapping[str, Component], are: Mapping[str, Component]) -> list[LicenseChange]:
    before = tuple(sorted({one.licenses for one in were.values() if one.licenses}))
    after = tuple(sorted({one.licenses for one in are.values() if one.licenses}))
    if before == after:
        return []
    return [LicenseChange(max(are.values(), key=_order), before, after)]


def _new_licenses(before: Sequence[Component], after: Sequence[Component]) -> dict[str, int]:
    known = {one.licenses for one in before}
    counts = Counter(one.licenses for one in after if one.licenses and one.licenses not in known)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _sorted(components: Iterable[Component]) -> tuple[Component, ...]:
    return tuple(sorted(components, key=_order))


def _order(component: Component) -> tuple[str, str, str]:
    return component.name.casefold(), component.version or "", component.purl or ""
