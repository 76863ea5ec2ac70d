"""Writes a normalised CycloneDX document as SPDX 2.3, so that both say the same.

Hand-written, as the libraries convert through models that keep neither order nor identifiers: the same content would
have another digest each time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from maestro.sbom import canonical
from maestro.sbom.cyclonedx_reading import license_texts
from maestro.sbom.license_names import expression_of, joined, licensing, parse
from maestro.sbom.limits import LIMITS

NO_TIME = "1970-01-01T00:00:00Z"
"""``created`` when no time is given: SPDX wants one, and the real one would make every document another."""

_NOT_IN_ID = re.compile(r"[^A-Za-z0-9.-]+")
_PURPOSES = {
    "application": "APPLICATION",
    "framework": "FRAMEWORK",
    "library": "LIBRARY",
    "container": "CONTAINER",
    "operating-system": "OPERATING-SYSTEM",
    "device": "DEVICE",
    "firmware": "FIRMWARE",
    "file": "FILE",
}
_ALGORITHMS = {
    "MD5": "MD5",
    "SHA-1": "SHA1",
    "SHA-256": "SHA256",
    "SHA-384": "SHA384",
    "SHA-512": "SHA512",
    "SHA3-256": "SHA3-256",
    "SHA3-384": "SHA3-384",
    "SHA3-512": "SHA3-512",
    "BLAKE2b-256": "BLAKE2b-256",
    "BLAKE2b-384": "BLAKE2b-384",
    "BLAKE2b-512": "BLAKE2b-512",
    "BLAKE3": "BLAKE3",
}


def from_cyclonedx(document: Mapping[str, Any]) -> dict[str, Any]:
    """The SPDX 2.3 document of a document of :func:`maestro.sbom.normalise.cyclonedx`."""
    metadata = document["metadata"]
    root = metadata["component"]
    parts: Sequence[Mapping[str, Any]] = document["components"]
    ids = {one["bom-ref"]: _id(one) for one in (root, *parts)}
    refs: dict[str, str] = {}
    packages = [_package(one, ids[one["bom-ref"]], refs) for one in (root, *parts)]
    root_id = ids[root["bom-ref"]]
    relationships = [_relationship("SPDXRef-DOCUMENT", "DESCRIBES", root_id)]
    relationships += [_relationship(root_id, "CONTAINS", ids[one["bom-ref"]]) for one in parts]
    relationships += [
        _relationship(ids[edge["ref"]], "DEPENDS_ON", ids[target])
        for edge in document["dependencies"]
        for target in edge.get("dependsOn", ())
    ]
    tools = metadata.get("tools", {}).get("components", ())
    made: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": root["name"],
        "packages": sorted(packages, key=lambda one: str(one["SPDXID"])),
        "relationships": sorted(relationships, key=canonical.sort_key),
    }
    if refs:
        made["hasExtractedLicensingInfos"] = [
            {"licenseId": ref, "name": refs[ref][:80], "extractedText": refs[ref]} for ref in sorted(refs)
        ]
    made["documentNamespace"] = f"https://maestro.example/spdx/{canonical.content_id(made)}"
    made["creationInfo"] = {
        "created": metadata.get("timestamp", NO_TIME),
        "creators": ["Tool: maestro-conductor", *(f"Tool: {one['name']}-{one['version']}" for one in tools)],
    }
    return made


def _id(component: Mapping[str, Any]) -> str:
    # The reference is unique in the document and comes from the content; its digest makes the identifier so too.
    digest = hashlib.sha256(str(component["bom-ref"]).encode("utf-8", "replace")).hexdigest()[:16]
    return f"SPDXRef-Package-{_NOT_IN_ID.sub('-', str(component['name']))[:60]}-{digest}"


def _package(component: Mapping[str, Any], spdx_id: str, refs: dict[str, str]) -> dict[str, Any]:
    name = component["name"]
    package: dict[str, Any] = {
        "SPDXID": spdx_id,
        "name": f"{component['group']}/{name}" if component.get("group") else name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": _license(component, refs),
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": _PURPOSES.get(component["type"], "OTHER"),
    }
    if component.get("version"):
        package["versionInfo"] = component["version"]
    checksums = [
        {"algorithm": _ALGORITHMS[one["alg"]], "checksumValue": one["content"].lower()}
        for one in component.get("hashes", ())
        if one["alg"] in _ALGORITHMS
    ]
    if checksums:
        package["checksums"] = checksums
    references = [("PACKAGE-MANAGER", "purl", component.get("purl")), ("SECURITY", "cpe23Type", component.get("cpe"))]
    external = [
        {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}
        for category, kind, locator in references
        # SPDX takes no white space there; what has some identifies nothing anyway.
        if locator and not any(map(str.isspace, locator))
    ]
    if external:
        package["externalRefs"] = external
    return package


def _license(component: Mapping[str, Any], refs: dict[str, str]) -> str:
    texts = license_texts(component, "component", LIMITS)
    found = joined(texts)
    if found is None:
        return "NOASSERTION"
    tree = parse(found)
    # A tree has no truth value.
    keys = [] if tree is None else licensing().unknown_license_keys(tree)
    own = {key for key in keys if key.startswith("LicenseRef-")}
    written = {expression_of(text): text for text in texts}
    for ref in own:
        refs.setdefault(ref, written.get(ref, ref))
    return found


def _relationship(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
