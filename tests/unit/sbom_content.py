"""What SBOMs of tests hold: components of every sort, as a tool writes them."""

from __future__ import annotations

from typing import Any

from maestro.sbom.normalise import ROOT_REF, Found, Root

ROOT = Root("localhost:5000/app", "container", "sha256:ab", "pkg:oci/app@sha256:ab", "ab" * 32)


def part(name: str, **members: Any) -> dict[str, Any]:
    return {
        "bom-ref": f"ref-{name}",
        "type": "library",
        "name": name,
        "version": "1.0",
        "purl": f"pkg:pypi/{name}@1.0",
        **members,
    }


def content() -> Found:
    parts = [
        part("a", licenses=[{"license": {"id": "MIT"}}], hashes=[{"alg": "SHA-256", "content": "ab" * 32}]),
        part("b", licenses=[{"license": {"name": "Own Terms, 1999"}}], cpe="cpe:2.3:a:b:b:1.0:*:*:*:*:*:*:*"),
        part("c", licenses=[{"expression": "MIT OR (Apache-2.0 AND LicenseRef-x)"}]),
        part("b", author="another copy", **{"bom-ref": "ref-b2"}),
        part("d", properties=[{"name": "two", "value": "2"}, {"name": "one", "value": "1"}]),
        {
            "bom-ref": "os",
            "type": "operating-system",
            "name": "debian",
            "version": "12",
            "swid": {"tagId": "d", "name": "d"},
        },
    ]
    return Found(parts, [{"ref": ROOT_REF, "dependsOn": ["ref-a"]}, {"ref": "ref-a", "dependsOn": ["ref-c", "ref-b2"]}])
