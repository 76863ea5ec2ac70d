"""Makes one CycloneDX 1.6 document out of what cataloguers found, in a form that depends on the content alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maestro.sbom import canonical
from maestro.sbom.cyclonedx_reading import license_texts
from maestro.sbom.license_names import expression_of, parse
from maestro.sbom.limits import Limits

_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
# Guesses at further CPE names, dozens a component, where matching uses package URLs; and which layer of an image it was
# found in, by which the same package in two images would be two.
_NOISE = re.compile(r"syft:cpe23|syft:location:\d+:layerID")
_KEPT = (
    "type",
    "author",
    "publisher",
    "group",
    "name",
    "version",
    "description",
    "scope",
    "hashes",
    "cpe",
    "purl",
    "externalReferences",
    "swid",
)
_LONGEST_NAME = 200
# Some packages give the whole text of a licence as its name.
_ANY_LENGTH = Limits(text=100_000_000)
_NO_VERSION = "UNKNOWN"
_MACHINE_TYPES = frozenset({"file"})


@dataclass(frozen=True, slots=True)
class Root:
    """What a bill of materials is about.

    Args:
        name: how people name it; never a path of this machine.
        type: CycloneDX component type: ``container``, ``library``, ``application``, ``file``.
        version: of the package; the digest, for an image.
        purl: package URL.
        sha256: of the file, or of an image's manifest.
        licenses: as its own metadata says.
    """

    name: str
    type: str
    version: str | None = None
    purl: str | None = None
    sha256: str | None = None
    licenses: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a subject, as far as one look at it said.

    Args:
        components: CycloneDX components.
        dependencies: CycloneDX dependencies between them, by ``bom-ref``; :data:`ROOT_REF` stands for the subject.
    """

    components: Sequence[Mapping[str, Any]] = ()
    dependencies: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that took part in making the document."""

    name: str
    version: str = field(default="")


ROOT_REF = "maestro:subject"
"""The subject, among the references of :class:`Found`."""


def cyclonedx(
    root: Root,
    found: Iterable[Found],
    *,
    tools: Sequence[Tool] = (),
    epoch: int | None = None,
    prefixes: Sequence[str] = (),
) -> dict[str, Any]:
    """A CycloneDX 1.6 document.

    Serial number and references come from the content, lists are sorted, equal components of several looks (the
    platforms of an image) are one.

    Args:
        root: what it describes.
        found: what several looks found.
        tools: what looked; their versions are part of the content.
        epoch: Unix seconds for ``metadata.timestamp``; without it there is none.
        prefixes: folders of this machine, removed from every text.
    """
    looks = [_references_within(canonical.without_paths(_plain(one), prefixes)) for one in found]
    components, names = _merged(look["components"] for look in looks)
    root_ref = root.purl or f"maestro:{root.type}/{root.name}"
    if root_ref in components:
        root_ref = f"{root_ref}#subject"
    edges: dict[str, set[str]] = {root_ref: set()}
    for number, look in enumerate(looks):
        for one in look["dependencies"]:
            source = _renamed(one.get("ref"), number, names, root_ref)
            targets = {_renamed(other, number, names, root_ref) for other in one.get("dependsOn") or ()}
            if source is not None:
                edges.setdefault(source, set()).update(target for target in targets if target and target != source)
    described: dict[str, Any] = {"bom-ref": root_ref, **_root(root)}
    metadata: dict[str, Any] = {"component": described}
    if tools:
        listed = [{"type": "application", "name": one.name, "version": one.version} for one in tools]
        metadata["tools"] = {"components": sorted(listed, key=canonical.sort_key)}
    document: dict[str, Any] = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": [components[ref] for ref in sorted(components)],
        "dependencies": [_edge(ref, edges[ref]) for ref in sorted(edges)],
    }
    # From the content without a time: the same content at another time is the same bill of materials.
    document["serialNumber"] = f"urn:uuid:{canonical.content_id(document)}"
    made = canonical.timestamp(epoch)
    if made is not None:
        metadata["timestamp"] = made
    return document


def _plain(found: Found) -> dict[str, Any]:
    return {"components": list(found.components), "dependencies": list(found.dependencies)}


def _references_within(look: dict[str, Any]) -> dict[str, Any]:
    look["components"] = [
        (one.get("bom-ref"), _component(one)) for one in _flat(look["components"]) if not _is_the_folder(one)
    ]
    return look


def _flat(components: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    waiting = list(reversed(components))
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(one.get("components") or ()))


def _is_the_folder(component: Mapping[str, Any]) -> bool:
    # Files that packages own, which some cataloguers list beside the packages.
    return component.get("type") in _MACHINE_TYPES and not component.get("purl")


def _component(raw: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: raw[key] for key in _KEPT if raw.get(key) not in (None, "", [])}
    if made.get("version") == _NO_VERSION:
        del made["version"]
    for key in ("name", "group", "version", "author", "publisher", "description"):
        if isinstance(made.get(key), str):
            made[key] = " ".join(made[key].split())
    licenses = _licenses(raw)
    if licenses:
        made["licenses"] = licenses
    for key in ("hashes", "externalReferences"):
        if key in made:
            made[key] = _unique(made[key])
    properties = [one for one in raw.get("properties") or () if not _NOISE.fullmatch(str(one.get("name")))]
    if properties:
        made["properties"] = _unique(properties)
    return made


def _licenses(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    texts = license_texts(raw, "component", _ANY_LENGTH)
    known = {text: expression_of(text) for text in texts}
    # What is neither an identifier nor a name people know stays readable: a reader makes the LicenseRef of it.
    ids = sorted({one for one in known.values() if one and " " not in one and not one.startswith("LicenseRef-")})
    compound = sorted({one for one in known.values() if one and " " in one})
    names = sorted(
        {_short(text) for text, one in known.items() if one and one.startswith("LicenseRef-") and " " not in one}
    )
    if compound and not names:
        whole = [f"({one})" for one in compound] if len(compound) + len(ids) > 1 else compound
        return [{"expression": " AND ".join([*ids, *whole])}]
    return [
        *({"license": {"id": one}} for one in ids if _listed(one)),
        *({"license": {"name": one}} for one in [*names, *compound, *(one for one in ids if not _listed(one))]),
    ]


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[:_LONGEST_NAME]}…"


def _listed(identifier: str) -> bool:
    from maestro.sbom.validation import spdx_license_ids

    return parse(identifier) is not None and identifier in spdx_license_ids()


def _merged(
    looks: Iterable[Sequence[tuple[Any, dict[str, Any]]]],
) -> tuple[dict[str, dict[str, Any]], dict[tuple[int, str], str]]:
    """Reference -> component, and (number of the look, its reference) -> reference."""
    equal: dict[str, tuple[dict[str, Any], list[tuple[int, str]]]] = {}
    for number, look in enumerate(looks):
        for ref, component in look:
            _, refs = equal.setdefault(canonical.sort_key(component), (component, []))
            if isinstance(ref, str):
                refs.append((number, ref))
    components: dict[str, dict[str, Any]] = {}
    names: dict[tuple[int, str], str] = {}
    # In the order of their content, so that of several with one package URL the same is always the first.
    for key in sorted(equal):
        component, refs = equal[key]
        base = component.get("purl") or f"{component.get('name')}@{component.get('version', '')}"
        ref, count = base, 1
        while ref in components:
            count += 1
            ref = f"{base}#{count}"
        components[ref] = {"bom-ref": ref, **component}
        names.update(dict.fromkeys(refs, ref))
    return components, names


def _renamed(ref: Any, look: int, names: Mapping[tuple[int, str], str], root_ref: str) -> str | None:
    return root_ref if ref == ROOT_REF else names.get((look, ref))


def _edge(ref: str, targets: set[str]) -> dict[str, Any]:
    return {"ref": ref, "dependsOn": sorted(targets)} if targets else {"ref": ref}


def _root(root: Root) -> dict[str, Any]:
    made: dict[str, Any] = {"type": root.type, "name": root.name}
    if root.version:
        made["version"] = root.version
    if root.purl:
        made["purl"] = root.purl
    if root.sha256:
        made["hashes"] = [{"alg": "SHA-256", "content": root.sha256}]
    if root.licenses:
        made["licenses"] = _licenses({"licenses": [{"license": {"name": root.licenses}}]})
    return made


def _unique(values: Iterable[Any]) -> list[Any]:
    return [value for _, value in sorted({canonical.sort_key(one): one for one in values}.items())]
