"""npm packages: what one says about itself, and what it needs (package.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maestro.sbom.license_names import joined
from maestro.sbom.normalise import ROOT_REF, Found, Root

_LIMIT = 4 * 1024 * 1024
_GROUPS = {"dependencies": "required", "peerDependencies": "required", "optionalDependencies": "optional"}


def read_package(folder: Path) -> dict[str, Any] | None:
    """The package.json of an unpacked npm package; None when this is none."""
    # `npm pack` puts everything under one folder, usually `package`.
    for file in sorted(folder.glob("*/package.json")):
        if file.stat().st_size > _LIMIT:
            continue
        try:
            about = json.loads(file.read_bytes())
        except (ValueError, RecursionError):
            continue
        if isinstance(about, dict) and isinstance(about.get("name"), str) and isinstance(about.get("version"), str):
            return about
    return None


def root_of(about: Mapping[str, Any], sha256: str) -> Root:
    """The package as the subject of a bill of materials."""
    written = about.get("license")
    licenses = joined([written]) if isinstance(written, str) else None
    name, version = str(about["name"]), str(about["version"])
    return Root(name, "library", version, _purl(name, version), sha256, licenses)


def unresolved(about: Mapping[str, Any]) -> Found:
    """What the package says it needs: names with the range it demands, no versions."""
    components: dict[str, dict[str, Any]] = {}
    for group, scope in _GROUPS.items():
        wanted = about.get(group)
        for name, demanded in sorted(wanted.items()) if isinstance(wanted, dict) else ():
            components.setdefault(
                name,
                {
                    "bom-ref": name,
                    "type": "library",
                    "name": name,
                    "purl": _purl(name, None),
                    "scope": scope,
                    "properties": [{"name": "maestro:requirement", "value": f"{name}@{demanded}"}],
                },
            )
    return Found(list(components.values()), [{"ref": ROOT_REF, "dependsOn": list(components)}])


def _purl(name: str, version: str | None) -> str:
    from packageurl import PackageURL

    namespace, _, last = name.rpartition("/")
    return str(PackageURL("npm", namespace or None, last, version).to_string())
