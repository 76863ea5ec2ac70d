"""Scanning an SBOM of 500 components against the advisory database, and making that database."""

from __future__ import annotations

import json
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.report import Figure, at_most, median

COMPONENTS = 500
_ECOSYSTEMS = (
    ("PyPI", "pkg:pypi/{}@{}"),
    ("npm", "pkg:npm/{}@{}"),
    ("Go", "pkg:golang/example.com/{}@v{}"),
    ("Debian:12", "pkg:deb/debian/{}@{}-1?distro=debian-12"),
    ("Maven", "pkg:maven/org.example/{}@{}"),
)
_VECTORS = (
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    "CVSS:3.1/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N",
    "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
)


def measure(*, quick: bool = False) -> list[Figure]:
    """Figures of scans; ``quick`` has fewer advisories and repeats less."""
    from maestro.vulnerabilities import component, severity, versions
    from maestro.vulnerabilities.cyclonedx import read_bom
    from maestro.vulnerabilities.database import AdvisoryDatabase
    from maestro.vulnerabilities.scan import scan
    from maestro.vulnerabilities.update import update

    advisories, times = (2_000, 3) if quick else (20_000, 9)
    with tempfile.TemporaryDirectory(prefix="bench-vulnerabilities-") as folder:
        source, place, sbom = Path(folder, "osv"), Path(folder, "db"), Path(folder, "sbom.cdx.json")
        write_advisories(source, advisories)
        sbom.write_text(json.dumps(document(advisories)))
        began = time.perf_counter()
        update(place, str(source))
        built = time.perf_counter() - began
        with AdvisoryDatabase(place) as opened:
            # Once, so that imports are not what is measured.
            report = scan(read_bom(sbom), opened)
            if report.state != "findings" or report.components != COMPONENTS:
                raise RuntimeError(f"the scan is not what is to be measured: {report.state}, {report.reason}")

            def fresh() -> float:
                # As in a process that has scanned nothing yet.
                for forget in (component.parse_purl, severity.of_vector, versions.order_of):
                    forget.cache_clear()
                began = time.perf_counter()
                scan(read_bom(sbom), opened)
                return time.perf_counter() - began

            scanned = median(fresh, times)
    about = f"an SBOM of 500 components read and scanned: {len(report.findings)} findings"
    return [
        at_most("scan_500_ms", 1000 * scanned, 100, "ms", about),
        Figure("advisories_per_s", round(advisories / built), "/s", f"{advisories:,} files made into a database"),
    ]


def write_advisories(folder: Path, count: int) -> None:
    """OSV files about ``count // 4`` packages of five ecosystems."""
    folder.mkdir()
    draw = random.Random(1)
    today = datetime.now(UTC).strftime("%Y-%m-%dT00:00:00Z")
    for number in range(count):
        ecosystem, _ = _ECOSYSTEMS[number % len(_ECOSYSTEMS)]
        name = f"package-{number % (count // 4)}"
        name = {"Go": f"example.com/{name}", "Maven": f"org.example:{name}"}.get(ecosystem, name)
        low, high = sorted(draw.sample(range(40), 2))
        events = [{"introduced": f"{low // 4}.{low % 4}.0"}, {"fixed": f"{high // 4}.{high % 4}.0"}]
        affected: dict[str, Any] = {
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }
        if ecosystem == "PyPI":
            affected["versions"] = [f"{at // 4}.{at % 4}.0" for at in range(low, high)]
        content = {
            "id": f"TEST-{number}",
            "modified": today,
            "aliases": [f"CVE-2026-{10_000 + number}"],
            "summary": "Something to be mended",
            "severity": [{"type": "CVSS_V3", "score": draw.choice(_VECTORS)}],
            "affected": [affected],
        }
        folder.joinpath(f"{number}.json").write_text(json.dumps(content))


def document(advisories: int) -> dict[str, Any]:
    """A CycloneDX document; two of three components are packages with advisories."""
    components = []
    for number in range(COMPONENTS):
        _, purl = _ECOSYSTEMS[number % len(_ECOSYSTEMS)]
        name = f"package-{number % (advisories // 4)}" if number % 3 else f"harmless-{number}"
        version = f"{number % 10}.{number % 4}.0"
        components.append({"type": "library", "name": name, "version": version, "purl": purl.format(name, version)})
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}
