"""The step kind ``sbom.generate``, with a cataloguer that finds what the test says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assets.sbom import SBOM_GENERATE
from maestro.artifacts import Subject
from maestro.errors import InputError
from maestro.sbom import libraries, syft
from tests.unit.sbom_subjects import DEBIAN, Steps, image, installed, layer, wheel
from tests.unit.step_harness import Harness, harness

_FAKE = """#!/bin/sh
for last; do :; done
echo "syft was here: $SYFT_CHECK_FOR_APP_UPDATE" >&2
cp {found} "${{last#*=}}"
exit {code}
"""


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps(harness(tmp_path))


def finds(running: Harness, *components: dict[str, Any], code: int = 0) -> None:
    """Lets the next steps' syft find these components, whatever it looks at."""
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"tools": {"components": [{"name": "syft", "version": "9.9"}]}},
        "components": list(components),
    }
    found, program = running.private / "found.json", running.private / "syft"
    found.write_text(json.dumps(document))
    program.write_text(_FAKE.format(found=found, code=code))
    program.chmod(0o755)
    running.env["SYFT_BIN"] = str(program)


def part(name: str, version: str = "1.0", license_id: str = "MIT") -> dict[str, Any]:
    return {
        "bom-ref": name,
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "licenses": [{"license": {"id": license_id}}],
    }


def document(steps: Steps, place: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((steps.harness.workspace / place).read_text())
    return read


def test_every_subject_delivered_before_gets_both_formats_and_a_claim_for_each(steps: Steps, tmp_path: Path) -> None:
    finds(steps.harness, part("six"))
    subject = steps.add_file(
        "build/wheel", wheel(tmp_path / "shop-1.0-py3-none-any.whl", metadata=["Requires-Dist: click"])
    )
    result = steps.run(SBOM_GENERATE)
    assert result.passed
    assert result.summary == "2 components in 'dist/shop-1.0-py3-none-any.whl'"
    assert [(one.name, one.path, one.media_type) for one in result.outputs] == [
        ("sbom.cdx.json", "reports/sbom.generate/sbom.cdx.json", "application/vnd.cyclonedx+json"),
        ("sbom.spdx.json", "reports/sbom.generate/sbom.spdx.json", "application/spdx+json"),
    ]
    assert [(one.type, one.predicate_type, one.subjects, one.output) for one in result.claims] == [
        ("sbom", "https://cyclonedx.org/bom", (subject,), "sbom.cdx.json"),
        ("sbom", "https://spdx.dev/Document", (subject,), "sbom.spdx.json"),
    ]
    written = document(steps, result.outputs[0].path)
    assert written["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": subject.digest["sha256"]}]
    assert [one["name"] for one in written["components"]] == ["click", "six"]


def test_several_subjects_get_documents_of_their_own(steps: Steps, tmp_path: Path) -> None:
    finds(steps.harness, part("six"))
    for name in ("one", "two"):
        steps.add_file(f"build/{name}", wheel(tmp_path / f"{name}-1.0-py3-none-any.whl", name))
    result = steps.run(SBOM_GENERATE, format="cyclonedx")
    assert [one.name for one in result.outputs] == [
        "one-1.0-py3-none-any.whl.cdx.json",
        "two-1.0-py3-none-any.whl.cdx.json",
    ]
    assert [claim.subjects[0].name for claim in result.claims] == [
        "dist/one-1.0-py3-none-any.whl",
        "dist/two-1.0-py3-none-any.whl",
    ]
    assert [row["components"] for row in result.metadata["subjects"]] == [1, 1]


def test_steps_are_chosen_by_id_and_subjects_of_others_left_out(steps: Steps, tmp_path: Path) -> None:
    finds(steps.harness, part("six"))
    for name in ("one", "two"):
        steps.add_file(f"build/{name}", wheel(tmp_path / f"{name}-1.0-py3-none-any.whl", name))
    for of in ("two", "build/two"):
        claims = steps.run(SBOM_GENERATE, of=of).claims
        assert {claim.subjects[0].name for claim in claims} == {"dist/two-1.0-py3-none-any.whl"}


def test_the_package_itself_is_the_subject_and_no_part_of_itself(steps: Steps, tmp_path: Path) -> None:
    finds(steps.harness, part("shop"), part("six"))
    steps.add_file("build/wheel", wheel(tmp_path / "shop-1.0-py3-none-any.whl"))
    written = document(steps, steps.run(SBOM_GENERATE).outputs[0].path)
    assert [one["name"] for one in written["components"]] == ["six"]
    assert written["metadata"]["component"]["purl"] == "pkg:pypi/shop@1.0"


def test_metadata_shows_counts_licences_and_what_is_new(steps: Steps, tmp_path: Path) -> None:
    finds(steps.harness, part("old"), part("fresh", license_id="ISC"), part("other"))
    steps.harness.write(
        {
            "requirements.txt": "",
            "base.cdx.json": json.dumps(
                {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [part("old", "0.9"), part("other")]}
            ),
        }
    )
    result = steps.run(SBOM_GENERATE, of=".", baseline="base.cdx.json")
    assert result.values == {"components": 3}
    assert result.metadata == {
        "components": 3,
        "licenses": [{"license": "MIT", "components": 2}, {"license": "ISC", "components": 1}],
        "components without a license": 0,
        "new components": 1,
        "new": [{"name": "fresh", "version": "1.0", "license": "ISC"}],
    }
    assert [claim.subjects for claim in result.claims] == [(), ()]


def test_requirements_that_are_not_installed_are_said(steps: Steps, tmp_path: Path) -> None:
    finds(steps.harness)
    installed(steps.harness.workspace / ".venv", "click", "8.1", ["License-Expression: BSD-3-Clause"])
    metadata = ["Requires-Dist: click", "Requires-Dist: absent"]
    steps.add_file("build/wheel", wheel(tmp_path / "shop-1.0-py3-none-any.whl", metadata=metadata))
    result = steps.run(SBOM_GENERATE, environment=".venv")
    assert result.summary.endswith("1 of its requirements not installed")
    assert result.metadata["not installed"] == ["absent"]
    written = document(steps, result.outputs[0].path)
    assert {one["name"]: one.get("version") for one in written["components"]} == {"absent": None, "click": "8.1"}


def test_syft_is_asked_for_chosen_cataloguers_only_and_fetches_nothing(steps: Steps) -> None:
    finds(steps.harness, part("six"))
    installed(steps.harness.workspace / "env", "six", "1.0")
    steps.run(SBOM_GENERATE, of="env")
    argv = steps.harness.argv[-1]
    assert argv[argv.index("--override-default-catalogers") + 1] == "python-installed-package-cataloger"
    steps.run(SBOM_GENERATE, of="env", catalogers=["a", "b"])
    argv = steps.harness.argv[-1]
    assert argv[argv.index("--override-default-catalogers") + 1] == "a,b"
    assert "syft was here: false" in steps.harness.log


def test_the_time_is_the_one_that_was_given(steps: Steps) -> None:
    finds(steps.harness, part("six"))
    steps.harness.env["SOURCE_DATE_EPOCH"] = "86400"
    written = document(steps, steps.run(SBOM_GENERATE, of=".").outputs[0].path)
    assert written["metadata"]["timestamp"] == "1970-01-02T00:00:00Z"
    steps.harness.env["SOURCE_DATE_EPOCH"] = "yesterday"
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH is 'yesterday', which is no time"):
        steps.run(SBOM_GENERATE, of=".")


def test_a_failing_syft_fails_the_step_and_leaves_nothing(steps: Steps) -> None:
    finds(steps.harness, part("six"), code=1)
    with pytest.raises(InputError, match="syft failed \\(exit code 1\\); its messages are in the step's log"):
        steps.run(SBOM_GENERATE, of=".")
    assert list(steps.harness.workspace.iterdir()) == []


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ([], "no step before this one delivers a package or an image"),
        (["nothing"], "'of' is 'nothing', which is neither a step this one waits for nor a path"),
        (["../outside"], "may lie outside the workspace"),
        (["build/empty"], "step 'build/empty' delivers no package, image or file"),
        (["build/lost"], "delivered 'dist/a.whl' but kept no bytes of it"),
    ],
)
def test_what_cannot_be_found_is_refused(steps: Steps, of: list[str], message: str) -> None:
    finds(steps.harness)
    if of:
        steps.add("build/empty")
        steps.add("build/lost", subjects=[Subject("dist/a.whl", {"sha256": "0" * 64})])
    with pytest.raises(InputError, match=message):
        steps.run(SBOM_GENERATE, of=of)


def test_an_image_whose_archive_is_of_another_image_is_refused(steps: Steps, tmp_path: Path) -> None:
    finds(steps.harness)
    image(tmp_path / "image.tar", {"linux/amd64": [layer(DEBIAN)]})
    other = image(tmp_path / "other.tar", {"linux/amd64": [layer({"etc/hostname": "x"})]})
    steps.add("package/image", {"image": tmp_path / "image.tar"}, [other])
    with pytest.raises(InputError, match=f"archive does not hold sha256:{other.digest['sha256']}"):
        steps.run(SBOM_GENERATE)


def test_a_hostile_package_is_refused_and_nothing_is_written(steps: Steps, tmp_path: Path) -> None:
    finds(steps.harness)
    steps.add_file("build/wheel", wheel(tmp_path / "shop-1.0-py3-none-any.whl", files={"../../evil": "x"}))
    with pytest.raises(InputError, match=r"names '../../evil', which lies outside"):
        steps.run(SBOM_GENERATE)
    assert not list(tmp_path.rglob("evil"))
    assert list(steps.harness.workspace.iterdir()) == []


def test_results_are_used_again_only_when_everything_looked_at_is_in_the_cache_key() -> None:
    def cached(**params: Any) -> bool:
        return SBOM_GENERATE.cached(SBOM_GENERATE.params.model_validate(params))

    assert cached()
    assert not cached(of=["dist"])
    assert not cached(environment=".venv")


def test_a_missing_syft_is_said_before_anything_runs_with_how_to_get_it(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYFT_BIN", "/nowhere/syft")
    assert steps.harness.requires(SBOM_GENERATE) == ["/nowhere/syft"]
    assert "pip install" in syft.INSTALL
    assert "SYFT_BIN" in syft.INSTALL


def test_the_plan_says_what_would_be_done() -> None:
    params = SBOM_GENERATE.params.model_validate({"of": "image", "format": "spdx"})
    assert SBOM_GENERATE.describe(params) == "Lists what 'image' is made of, as SPDX 2.3."


def test_a_plan_imports_none_of_the_libraries_of_the_extra() -> None:
    program = (
        "import sys, assets.sbom, assets.licenses, maestro.cli.evidence_diff\n"
        f"print(sorted(set({libraries.LIBRARIES!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_library_is_said_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "LIBRARIES", ("json", "no_such_library"))
    with pytest.raises(InputError, match="not installed: no_such_library") as caught:
        libraries.check_libraries()
    assert "pip install 'maestro-conductor[evidence]'" in (caught.value.next_step or "")
