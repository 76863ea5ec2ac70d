"""``image.copy`` and ``attest.attach`` with the real skopeo and a real registry."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from assets.image_copy import IMAGE_COPY
from assets.image_evidence import ATTEST_ATTACH
from assets.images import IMAGE_BUILD
from maestro.artifacts import StepRecord, Subject
from maestro.errors import InputError, MaestroError
from maestro.oci.attached import bundles_of
from maestro.oci.reference import Reference
from maestro.oci.registry import Registry
from maestro.signing import Signer, make_statement, open_signer, sign_statement
from maestro.steps import StepResult
from tests.integration.registry_server import RegistryServer, registry
from tests.unit.step_harness import Harness, harness

__all__ = ["registry"]

PROVENANCE = "https://slsa.dev/provenance/v1"


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    return harness(tmp_path).write({"Containerfile": "FROM scratch\nCOPY hello /hello\n", "hello": str(tmp_path)})


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return open_signer(f"file:{tmp_path / 'key.pem'}", environ={}, create=True)


def record(step: Harness, name: str, result: StepResult, *evidence: bytes) -> None:
    """Remember ``result`` as that of the step ``name``, with ``evidence`` signed for it."""
    kept = [
        step.artifacts.put_bytes(one, name="provenance", media_type="application/vnd.dev.sigstore.bundle.v0.3+json")
        for one in evidence
    ]
    step.records[name] = StepRecord(
        project="shop",
        workflow="w",
        revision="0" * 40,
        step=name,
        kind="image.build",
        kind_version="1",
        cache_key=None,
        passed=True,
        summary="",
        outputs=(),
        run_id="r",
        made_by_run="r",
        started=0.0,
        seconds=0.0,
        cache="off",
        subjects=tuple(result.subjects),
        evidence=tuple(kept),
    )


def signed(signer: Signer, *subjects: Subject) -> bytes:
    return sign_statement(make_statement(subjects, PROVENANCE, {"buildDefinition": {}}), signer)


def test_an_index_is_copied_with_all_its_images_and_its_evidence(
    step: Harness, registry: RegistryServer, signer: Signer
) -> None:
    source, target = f"{registry.host}/copy/from", f"{registry.host}/copy/to"
    pushed = step.run(IMAGE_BUILD, registry=f"{source}:1", platforms=["linux/amd64", "linux/arm64"])
    record(step, "package/image", pushed, signed(signer, *pushed.subjects))
    assert step.run(ATTEST_ATTACH).passed
    digest = pushed.values["digest"]
    result = step.run(IMAGE_COPY, source=f"{source}:1", to=f"{target}:stable", tags=["2"], digest=digest)
    assert result.passed, step.log
    assert result.values == {"digest": digest, "reference": f"{target}@{digest}"}
    assert result.subjects[0].uri == f"docker://{target}@{digest}"
    assert result.materials[0].digest == pushed.subjects[0].digest
    with Registry(registry.host) as client:
        assert {client.manifest("copy/to", one).descriptor.digest for one in ("stable", "2")} == {digest}
        copied = bundles_of(client, Reference.parse(f"{target}@{digest}"))
        assert copied == bundles_of(client, Reference.parse(f"{source}@{digest}"))
    assert [one.via for one in copied] == ["referrer", "cosign"]


def test_a_layout_and_its_archive_are_copied(step: Harness, registry: RegistryServer) -> None:
    made = step.run(IMAGE_BUILD)
    target = f"{registry.host}/copy/archive"
    result = step.run(IMAGE_COPY, source=f"oci-archive:{made.outputs[0].path}", to=target)
    assert result.passed, step.log
    assert result.values["digest"] == made.values["digest"]
    folder = step.workspace / "a:b"
    copy = ["skopeo", "copy", "-q", "--src-tls-verify=false", "--preserve-digests"]
    subprocess.run([*copy, f"docker://{target}@{made.values['digest']}", "oci:plain"], cwd=step.workspace, check=True)
    (step.workspace / "plain").rename(folder)
    assert step.run(IMAGE_COPY, source="oci:a:b", to=f"{registry.host}/copy/folder").values == {
        "digest": made.values["digest"],
        "reference": f"{registry.host}/copy/folder@{made.values['digest']}",
    }


def test_a_source_of_another_digest_is_not_copied(step: Harness, registry: RegistryServer) -> None:
    step.run(IMAGE_BUILD, registry=f"{registry.host}/copy/expected:1")
    wanted = "sha256:" + "0" * 64
    result = step.run(
        IMAGE_COPY, source=f"{registry.host}/copy/expected:1", to=f"{registry.host}/copy/refused:1", digest=wanted
    )
    assert not result.passed
    assert result.summary.endswith(f"not {wanted}: nothing was copied")
    with Registry(registry.host) as client:
        assert client.find_manifest("copy/refused", "1") is None


def test_a_damaged_layout_is_not_copied(step: Harness, registry: RegistryServer) -> None:
    step.write({"broken/index.json": "{}", "broken/oci-layout": '{"imageLayoutVersion": "1.0.0"}'})
    with pytest.raises(MaestroError, match="'broken' is no usable image layout: it holds 0 images instead of one"):
        step.run(IMAGE_COPY, source="oci:broken", to=f"{registry.host}/copy/broken")
    step.write({"image.tar": "no archive"})
    with pytest.raises(MaestroError, match=r"'image\.tar' is refused as an archive of an image layout"):
        step.run(IMAGE_COPY, source="oci-archive:image.tar", to=f"{registry.host}/copy/broken")
    with pytest.raises(InputError, match="which may lie outside the workspace"):
        step.requires(IMAGE_COPY, source="oci:../x", to=f"{registry.host}/copy/broken")


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"to": "app"}, "it names no registry"),
        ({"to": "r.io/app@sha256:" + "0" * 64}, "names a digest, which nothing can be pushed to"),
        ({"to": "r.io/app", "tags": ["a b"]}, "'a b' is no tag"),
        ({"to": "r.io/app", "digest": "sha256:1"}, "'digest' is not 'sha256:' and 64"),
    ],
)
def test_a_place_nothing_can_be_copied_to_is_refused_at_once(params: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        IMAGE_COPY.params.model_validate({"source": "a", **params})


def test_evidence_is_attached_once_by_fallback_tag_and_for_cosign(
    step: Harness, registry: RegistryServer, signer: Signer
) -> None:
    pushed = step.run(IMAGE_BUILD, registry=f"{registry.host}/attached")
    elsewhere = Subject("other", {"sha256": "1" * 64})
    bundle = signed(signer, *pushed.subjects)
    record(step, "package/image", pushed, bundle, signed(signer, elsewhere))
    first = step.run(ATTEST_ATTACH)
    assert (first.passed, first.summary) == (True, "1 bundle attached, 1 of them new")
    assert step.run(ATTEST_ATTACH).summary == "1 bundle attached, 0 of them new"
    image = Reference.parse(str(pushed.subjects[0].uri))
    with Registry(registry.host) as client:
        found = bundles_of(client, image)
        tag = str(image.digest).replace(":", "-")
        index = json.loads(client.manifest("attached", tag).data)
    assert [(one.via, one.predicate_type) for one in found] == [("referrer", PROVENANCE), ("cosign", PROVENANCE)]
    assert found[0].data == bundle
    assert json.loads(found[1].data) == json.loads(bundle)["dsseEnvelope"]
    assert [one["artifactType"] for one in index["manifests"]] == ["application/vnd.dev.sigstore.bundle.v0.3+json"]


def test_nothing_to_attach_or_nothing_to_attach_it_to_fails_the_step(
    step: Harness, registry: RegistryServer, signer: Signer
) -> None:
    assert step.run(ATTEST_ATTACH).summary == "no step before this one has pushed an image"
    record(step, "package/image", step.run(IMAGE_BUILD, registry=f"{registry.host}/bare"))
    result = step.run(ATTEST_ATTACH)
    assert (result.passed, result.summary) == (False, "no step before this one has signed anything about an image")


def test_an_image_of_dockers_older_media_types_keeps_its_digest(step: Harness, registry: RegistryServer) -> None:
    made = step.run(IMAGE_BUILD)
    old = f"{registry.host}/copy/docker"
    copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false", "--format", "v2s2"]
    archive = step.workspace / made.outputs[0].path
    subprocess.run([*copy, f"oci-archive:{archive}", f"docker://{old}:1"], check=True)
    result = step.run(IMAGE_COPY, source=f"{old}:1", to=f"{registry.host}/copy/docker-kept")
    assert result.passed, step.log
    assert result.values["digest"] != made.values["digest"]
    [subject] = result.subjects
    assert subject.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    assert [(one.name, one.media_type) for one in result.outputs] == [
        ("image", "application/vnd.oci.image.layout.v1+tar")
    ]
    again = step.run(IMAGE_COPY, source=f"oci-archive:{result.outputs[0].path}", to=f"{registry.host}/copy/docker-back")
    assert again.values["digest"] == result.values["digest"]
