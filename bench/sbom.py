"""How long it takes to compare two bills of materials, from files on disk to a page, and to make one canonical."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import Figure, at_most, median

COMPONENTS = 10_000


def measure(*, quick: bool = False) -> list[Figure]:
    """Figures of bills of materials; ``quick`` repeats less, with the same number of components."""
    return [*differences(quick=quick), *documents(quick=quick)]


def differences(*, quick: bool = False) -> list[Figure]:
    """Two files compared and shown in every form."""
    from maestro.sbom.comparison import Described, compare_revisions
    from maestro.sbom.reading import read_sbom
    from maestro.sbom.render_html import to_html
    from maestro.sbom.render_json import to_json
    from maestro.sbom.render_markdown import to_markdown

    with tempfile.TemporaryDirectory(prefix="bench-sbom-") as folder:
        before, after = Path(folder, "before.cdx.json"), Path(folder, "after.cdx.json")
        before.write_text(json.dumps(document(COMPONENTS)))
        after.write_text(json.dumps(document(COMPONENTS, changed=True)))
        # Once, so that imports and compiled schemas are not what is measured.
        comparison = compare_revisions(
            ("before", [Described("app", read_sbom(before))]), ("after", [Described("app", read_sbom(after))])
        )

        def whole() -> float:
            began = time.perf_counter()
            sides = [(file.name, [Described("app", read_sbom(file))]) for file in (before, after)]
            found = compare_revisions(*sides)
            to_html(found), to_markdown(found), json.dumps(to_json(found))
            return time.perf_counter() - began

        spent = median(whole, 1 if quick else 5)
    subject = comparison.subjects[0].components
    about = (
        f"read two files of {COMPONENTS:,} components, compare them ({len(subject.changed):,} changed, "
        f"{len(subject.added):,} added), write HTML, Markdown and JSON"
    )
    return [at_most("diff_10k_s", spent, 2.0, "s", about)]


def documents(*, quick: bool = False) -> list[Figure]:
    """What was found, made into the documents that are kept."""
    from maestro.sbom import canonical, normalise, spdx
    from maestro.sbom.validation import validate

    def made() -> float:
        parts = document(COMPONENTS)["components"]
        began = time.perf_counter()
        bom = normalise.cyclonedx(normalise.Root("app", "application"), [normalise.Found(parts)])
        for one in (bom, spdx.from_cyclonedx(bom)):
            validate(one)
            canonical.encoded(one)
        return time.perf_counter() - began

    made()
    about = f"{COMPONENTS:,} components to canonical, validated CycloneDX and SPDX"
    return [at_most("normalise_10k_s", median(made, 1 if quick else 5), 10.0, "s", about)]


def document(count: int, *, changed: bool = False) -> dict[str, Any]:
    """A CycloneDX document as a cataloguer writes it; ``changed``: one in five is newer, one in twenty another one."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [_component(number, changed) for number in range(count)],
    }


def _component(number: int, changed: bool) -> dict[str, Any]:
    name = f"part-{number + 1_000_000 if changed and number % 20 == 0 else number}"
    version = f"1.{number % 50}.{1 if changed and number % 5 == 1 else 0}"
    kind = ("pypi", "npm", "deb/debian", "golang/example.org")[number % 4]
    return {
        "bom-ref": f"{name}-{version}-{number}",
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:{kind}/{name}@{version}",
        "licenses": [{"license": {"id": ("MIT", "Apache-2.0", "BSD-3-Clause")[number % 3]}}],
        "hashes": [{"alg": "SHA-256", "content": f"{number:064x}"}],
        "properties": [
            {"name": "syft:package:foundBy", "value": "python-installed-package-cataloger"},
            {"name": "syft:location:0:path", "value": f"/usr/lib/{name}/METADATA"},
        ],
    }
