"""The step kind ``scan.licenses``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assets.licenses import SCAN_LICENSES
from maestro.artifacts import Claim, Subject
from maestro.errors import InputError
from tests.unit.sbom_subjects import Steps
from tests.unit.step_harness import harness


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps(harness(tmp_path))


def sbom(file: Path, **licenses: str | None) -> Path:
    components = [
        {"name": name, "version": "1.0", "licenses": [{"expression": expression}] if expression else []}
        for name, expression in licenses.items()
    ]
    file.write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}))
    return file


def made(steps: Steps, step: str, file: Path) -> Subject:
    """A step that made this bill of materials, in CycloneDX and, with nothing in it, in SPDX."""
    subject = Subject(f"dist/{step}.whl", {"sha256": hashlib.sha256(step.encode()).hexdigest()})
    other = file.with_suffix(".spdx.json")
    other.write_text(json.dumps({"spdxVersion": "SPDX-2.3", "packages": []}))
    claims = [
        Claim("sbom", "https://spdx.dev/Document", (subject,), output=other.name),
        Claim("sbom", "https://cyclonedx.org/bom", (subject,), output=file.name),
    ]
    steps.add(f"package/{step}", {file.name: file, other.name: other}, claims=claims)
    return subject


def test_allowed_licences_pass_and_the_report_lists_every_component(steps: Steps, tmp_path: Path) -> None:
    subject = made(steps, "sbom", sbom(tmp_path / "sbom.cdx.json", one="MIT", two="GPL-3.0-only OR ISC"))
    result = steps.run(SCAN_LICENSES, allowed=["MIT", "ISC"])
    assert result.passed
    assert result.summary == "all licences of 2 components are allowed"
    assert [(one.name, one.media_type) for one in result.outputs] == [
        ("licenses.json", "application/vnd.maestro.licenses+json")
    ]
    report = json.loads((steps.harness.workspace / result.outputs[0].path).read_text())
    assert report["state"] == "clean"
    assert report["subject"] == {"name": "dist/sbom.whl", "digest": f"sha256:{subject.digest['sha256']}"}
    assert [(one["name"], one["license"], one["allowed"]) for one in report["components"]] == [
        ("one", "MIT", True),
        ("two", "GPL-3.0-only OR ISC", True),
    ]


def test_a_licence_that_is_not_allowed_fails_and_is_named(steps: Steps, tmp_path: Path) -> None:
    made(steps, "sbom", sbom(tmp_path / "sbom.cdx.json", good="MIT", bad="GPL-3.0-only", odd=None))
    result = steps.run(SCAN_LICENSES, allowed="MIT")
    assert not result.passed
    assert result.summary == ("2 components of 3 under licences that are not allowed, first 'bad' (GPL-3.0-only)")
    assert result.values == {"violations": 2}
    assert result.metadata["not allowed"] == [
        {"name": "bad", "version": "1.0", "license": "GPL-3.0-only", "why": "not allowed: GPL-3.0-only"},
        {"name": "odd", "version": "1.0", "license": "unknown", "why": "its licence is not known"},
    ]


def test_the_claim_is_about_what_the_bill_of_materials_is_about_and_names_the_report(
    steps: Steps, tmp_path: Path
) -> None:
    subject = made(steps, "sbom", sbom(tmp_path / "sbom.cdx.json", bad="GPL-3.0-only"))
    (claim,) = steps.run(SCAN_LICENSES, allowed=["MIT"]).claims
    assert (claim.type, claim.predicate_type) == (
        "licenses",
        "https://maestro.example/attestation/license-check/v1",
    )
    assert (claim.subjects, claim.report) == ((subject,), "licenses.json")
    assert claim.predicate == {
        "state": "findings",
        "allowed": ["MIT"],
        "allowUnknown": False,
        "components": 1,
        "violations": 1,
        "named": [{"purl": None, "name": "bad", "version": "1.0", "license": "GPL-3.0-only"}],
    }


def test_without_enforcement_the_step_passes_and_still_claims_what_it_found(steps: Steps, tmp_path: Path) -> None:
    made(steps, "sbom", sbom(tmp_path / "sbom.cdx.json", bad="GPL-3.0-only"))
    result = steps.run(SCAN_LICENSES, allowed=["MIT"], enforce=False)
    assert result.passed
    assert result.claims[0].predicate is not None
    assert result.claims[0].predicate["state"] == "findings"


def test_unknown_licences_are_allowed_when_that_is_said(steps: Steps, tmp_path: Path) -> None:
    made(steps, "sbom", sbom(tmp_path / "sbom.cdx.json", odd=None))
    assert steps.run(SCAN_LICENSES, allowed=["MIT"], allow_unknown=True).passed


def test_several_bills_of_materials_get_reports_of_their_own(steps: Steps, tmp_path: Path) -> None:
    made(steps, "one", sbom(tmp_path / "one.cdx.json", a="MIT"))
    made(steps, "two", sbom(tmp_path / "two.cdx.json", b="MIT"))
    result = steps.run(SCAN_LICENSES, allowed=["MIT"])
    assert [one.name for one in result.outputs] == ["one.whl.licenses.json", "two.whl.licenses.json"]
    assert [claim.report for claim in result.claims] == ["one.whl.licenses.json", "two.whl.licenses.json"]


def test_a_file_of_the_workspace_can_be_checked(steps: Steps) -> None:
    sbom(steps.harness.workspace / "vendor.cdx.json", a="MIT")
    result = steps.run(SCAN_LICENSES, allowed=["MIT"], of="vendor.cdx.json")
    assert result.passed
    assert result.claims[0].subjects == ()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"allowed": ["MIT"]}, "no step before this one has made a bill of materials"),
        ({"allowed": ["MIT"], "of": "nowhere"}, "'of' is 'nowhere', which is neither a step"),
        ({"allowed": ["Nonsense"]}, "'Nonsense' among the allowed licences is no SPDX expression"),
        ({"allowed": ["MIT"], "of": "broken.json"}, "the document is no complete JSON"),
    ],
)
def test_what_cannot_be_checked_is_refused_and_nothing_is_written(
    steps: Steps, params: dict[str, Any], message: str
) -> None:
    steps.harness.write({"broken.json": "{"})
    with pytest.raises(InputError, match=message):
        steps.run(SCAN_LICENSES, **params)
    assert not (steps.harness.workspace / "reports").exists()


def test_an_empty_allow_list_is_refused(steps: Steps) -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        steps.run(SCAN_LICENSES, allowed=[])
