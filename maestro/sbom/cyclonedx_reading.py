"""Components out of CycloneDX JSON (1.2 to 1.7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from maestro.sbom import fields
from maestro.sbom.license_names import joined
from maestro.sbom.limits import Limits
from maestro.sbom.model import Component


def components_of(value: Any, place: str, limits: Limits) -> Iterator[Component]:
    """One entry of ``components`` and those nested in it.

    Raises:
        SbomError: it is not what CycloneDX says.
    """
    # A stack, and not recursion: how deep they are nested is the document's choice.
    waiting = [(value, place)]
    while waiting:
        one, where = waiting.pop()
        holder = fields.mapping(one, where)
        yield component_of(holder, where, limits)
        nested = fields.listed(holder, "components", where)
        waiting.extend((inner, f"{where}.components[{number}]") for number, inner in reversed(list(enumerate(nested))))


def component_of(holder: Mapping[str, Any], place: str, limits: Limits) -> Component:
    """The component an object describes, without those nested in it.

    Raises:
        SbomError: it is not what CycloneDX says.
    """
    name = fields.needed(holder, "name", place, limits)
    group = fields.text(holder, "group", place, limits)
    return Component(
        purl=fields.text(holder, "purl", place, limits),
        name=f"{group}/{name}" if group else name,
        version=fields.text(holder, "version", place, limits),
        licenses=_licenses(holder, place, limits),
        type=fields.shared(fields.text(holder, "type", place, limits) or "library"),
        hashes=_hashes(holder, place, limits),
    )


def subject_of(metadata: Any, limits: Limits) -> Component | None:
    """What the document describes: ``metadata.component``.

    Raises:
        SbomError: it is not what CycloneDX says.
    """
    if metadata is None:
        return None
    described = fields.mapping(metadata, "metadata").get("component")
    if described is None:
        return None
    return component_of(fields.mapping(described, "metadata.component"), "metadata.component", limits)


def license_texts(holder: Mapping[str, Any], place: str, limits: Limits) -> list[str]:
    """What ``licenses`` says, as written: expressions, identifiers and names.

    Raises:
        SbomError: it is not what CycloneDX says.
    """
    texts: list[str] = []
    for number, entry in enumerate(fields.listed(holder, "licenses", place)):
        where = f"{place}.licenses[{number}]"
        choice = fields.mapping(entry, where)
        expression = fields.text(choice, "expression", where, limits)
        if expression is not None:
            texts.append(expression)
            continue
        named = fields.mapping(choice.get("license"), f"{where}.license")
        found = fields.text(named, "id", where, limits) or fields.text(named, "name", where, limits)
        if found is not None:
            texts.append(found)
    return texts


def _licenses(holder: Mapping[str, Any], place: str, limits: Limits) -> str | None:
    found = joined(license_texts(holder, place, limits))
    return fields.shared(found) if found else None


def _hashes(holder: Mapping[str, Any], place: str, limits: Limits) -> tuple[tuple[str, str], ...]:
    found = []
    for number, entry in enumerate(fields.listed(holder, "hashes", place)):
        where = f"{place}.hashes[{number}]"
        one = fields.mapping(entry, where)
        algorithm = fields.shared(fields.needed(one, "alg", where, limits))
        found.append((algorithm, fields.needed(one, "content", where, limits).lower()))
    return tuple(sorted(found))
