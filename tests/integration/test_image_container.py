"""``container.build``: an image, its SBOM, its scan and its provenance in one step, with the real tools."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from assets.container import CONTAINER_BUILD
from assets.images import IMAGE_BUILD
from tests.integration.registry_server import RegistryServer, registry
from tests.unit.step_harness import Harness, harness

__all__ = ["registry"]

PACKAGE = "usr/lib/python3/site-packages/left_pad-1.2.dist-info/METADATA"


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    made = harness(tmp_path)
    made.env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    about = "Metadata-Version: 2.1\nName: left-pad\nVersion: 1.2\nLicense: MIT\n"
    return made.write({"Containerfile": "FROM scratch\nCOPY usr /usr\n", PACKAGE: about})


def test_one_step_leaves_image_sbom_and_claims_about_the_same_digest(step: Harness, registry: RegistryServer) -> None:
    result = step.run(CONTAINER_BUILD, registry=f"{registry.host}/short:1", scan=False)
    assert result.passed, f"{result.summary}\n{step.log}"
    assert [one.name for one in result.outputs] == ["image", "sbom.cdx.json", "sbom.spdx.json"]
    [subject] = result.subjects
    assert result.values["digest"] == f"sha256:{subject.digest['sha256']}"
    assert [(one.type, one.predicate_type) for one in result.claims] == [
        ("sbom", "https://cyclonedx.org/bom"),
        ("sbom", "https://spdx.dev/Document"),
        ("provenance", "https://slsa.dev/provenance/v1"),
    ]
    assert all(one.subjects == (subject,) for one in result.claims)
    sbom = json.loads((step.workspace / result.outputs[1].path).read_text())
    assert [one["purl"] for one in sbom["components"]] == ["pkg:pypi/left-pad@1.2"]
    assert result.metadata["sbom: components"] == 1


def test_the_image_is_the_one_image_build_makes(step: Harness) -> None:
    short = step.run(CONTAINER_BUILD, scan=False, sbom=False)
    assert short.values["digest"] == step.run(IMAGE_BUILD).values["digest"]
    assert [one.type for one in short.claims] == ["provenance"]
    assert step.run(CONTAINER_BUILD, sbom=False, sign=False).claims == []


def test_what_was_not_scanned_fails_the_step_and_says_why(step: Harness) -> None:
    result = step.run(CONTAINER_BUILD)
    assert not result.passed
    assert "not scanned" in result.summary
    assert result.values["state"] == "not_scanned"
    assert "vulnerabilities" in [one.type for one in result.claims]
    assert "vulnerabilities.json" in [one.name for one in result.outputs]


def test_a_failed_build_is_not_looked_at_further(step: Harness) -> None:
    step.write({"Containerfile": "FROM scratch\nCOPY nothing /\n"})
    result = step.run(CONTAINER_BUILD)
    assert (result.passed, list(result.outputs), list(result.claims)) == (False, [], [])
    assert result.summary.startswith("Containerfile:2: COPY nothing / failed: ")


def test_a_scan_without_a_list_is_refused_and_left_out_when_nobody_asked(step: Harness) -> None:
    with pytest.raises(ValidationError, match="'scan' looks up what 'sbom' lists, and 'sbom' is false"):
        CONTAINER_BUILD.params.model_validate({"scan": True, "sbom": False})
    assert not CONTAINER_BUILD.params.model_validate({"sbom": False}).scan


def test_it_says_what_it_would_do_and_what_it_needs(step: Harness) -> None:
    params = CONTAINER_BUILD.params(registry="localhost:5000/app")
    assert CONTAINER_BUILD.describe(params) == (
        "Builds an image of '.' and pushes it to localhost:5000/app. "
        "Then lists what it is made of, looks for known vulnerabilities, signs its provenance."
    )
    assert {"buildah"} < set(step.requires(CONTAINER_BUILD))
    assert shutil.which("buildah")
    assert CONTAINER_BUILD.cached(CONTAINER_BUILD.params(scan=False))
    assert not CONTAINER_BUILD.cached(CONTAINER_BUILD.params())
