"""Memory for a bill of materials of 100,000 components, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = 100_000

# The peak is VmHWM, and not ru_maxrss, which a child takes over from the process that started it.
_PROGRAM = """
import sys
from pathlib import Path
from maestro.sbom.reading import iter_components, read_sbom

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

small, large = Path(sys.argv[2]), Path(sys.argv[3])
count = {"stream": lambda file: sum(1 for _ in iter_components(file)), "whole": lambda file: len(read_sbom(file).components)}[sys.argv[1]]
count(small)
before = peak()
assert count(large) == int(sys.argv[4])
print((peak() - before) / 1024)
"""


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("documents")
    files = []
    for count in (10, COUNT):
        file = folder / f"{count}.cdx.json"
        with file.open("w") as out:
            out.write('{"bomFormat":"CycloneDX","specVersion":"1.6","components":[')
            for number in range(count):
                component = {
                    "name": f"part-{number}",
                    "version": f"1.{number}",
                    "purl": f"pkg:pypi/part-{number}@1.{number}",
                    "licenses": [{"license": {"id": "MIT"}}],
                    "properties": [
                        {"name": "syft:location:0:path", "value": f"/usr/lib/python3/part-{number}/METADATA"}
                    ],
                }
                out.write(f"{',' if number else ''}{json.dumps(component)}")
            out.write("]}")
        files.append(file)
    return files[0], files[1]


@pytest.mark.parametrize(("way", "most_mib"), [("stream", 10), ("whole", 60)])
def test_a_hundred_thousand_components_are_read_in_bounded_memory(
    documents: tuple[Path, Path], way: str, most_mib: int
) -> None:
    small, large = documents
    # As one tree of dicts the document takes more than twice the larger figure.
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, way, str(small), str(large), str(COUNT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < most_mib
