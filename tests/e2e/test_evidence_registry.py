"""The short form ``container.build`` with a real registry: what is attached to the pushed image, pulled back and verified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from maestro.oci.attached import AttachedBundle, bundles_of
from maestro.oci.reference import Reference
from maestro.oci.registry import Registry
from maestro.signing import TrustRoot, verify_bundle
from tests.e2e.example import Example, new_example
from tests.integration.registry_server import RegistryServer, registry_server

WORKFLOW = """
    name: release
    project: app
    evidence: {{ require: [sbom, vulnerabilities, provenance] }}
    stages:
      - name: package
        steps:
          - {{ id: image, run: container.build, with: {{ registry: '{host}/app', tags: ['1.0'], sbom: true, sign: true }} }}
          - {{ id: gate, run: gate, with: {{ policy: supply_chain.release, config: {{ allowed_registries: ['{host}'] }} }} }}
          - {{ id: attach, run: attest.attach }}
    """
ATTACHED = {
    "https://cyclonedx.org/bom",
    "https://spdx.dev/Document",
    "https://in-toto.io/attestation/vulns/v0.1",
    "https://slsa.dev/provenance/v1",
    "https://maestro.example/attestation/decision/v1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry_server(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(scope="module")
def pushed(server: RegistryServer, tmp_path_factory: pytest.TempPathFactory) -> Example:
    example = new_example(
        tmp_path_factory.mktemp("short") / "app",
        {"maestro.yaml": WORKFLOW.format(host=server.host), "Containerfile": "FROM scratch\nCOPY vendor /packages/\n"},
    )
    example.vendor("3.1.6")
    return example.run()


@pytest.fixture(scope="module")
def image(pushed: Example) -> Reference:
    assert pushed.last["state"] == "succeeded", pushed.last
    return Reference.parse(str(pushed.record("package/image").values["reference"]))


@pytest.fixture(scope="module")
def attached(image: Reference) -> tuple[AttachedBundle, ...]:
    registry = Registry(image.registry)
    try:
        return bundles_of(registry, image)
    finally:
        registry.close()


def test_every_statement_is_attached_to_the_pushed_image(attached: tuple[AttachedBundle, ...]) -> None:
    assert {one.predicate_type for one in attached if one.via == "referrer"} == ATTACHED
    assert {one.predicate_type for one in attached if one.via == "cosign"} == ATTACHED


def test_what_is_pulled_back_is_signed_by_the_project_and_about_this_image(
    pushed: Example, image: Reference, attached: tuple[AttachedBundle, ...]
) -> None:
    trust = TrustRoot.load(pushed.project.home / "keys" / "trust.yaml")
    for one in (one for one in attached if one.via == "referrer"):
        verified = verify_bundle(one.data, trust)
        assert verified.statement.predicate_type == one.predicate_type
        assert f"sha256:{verified.statement.subjects[0].digest['sha256']}" == image.digest


def test_the_registry_itself_lists_them_under_the_fallback_tag(server: RegistryServer, image: Reference) -> None:
    assert image.digest is not None
    tags = httpx.get(f"http://{server.host}/v2/app/tags/list").json()["tags"]
    listed = image.digest.replace(":", "-")
    assert {"1.0", listed, f"{listed}.att"} <= set(tags)
    accept = {"Accept": "application/vnd.oci.image.index.v1+json"}
    index = httpx.get(f"http://{server.host}/v2/app/manifests/{listed}", headers=accept).json()
    assert {one["artifactType"] for one in index["manifests"]} == {"application/vnd.dev.sigstore.bundle.v0.3+json"}


def test_the_gate_knows_which_registry_the_image_is_in(pushed: Example, server: RegistryServer, tmp_path: Path) -> None:
    elsewhere = pushed.copy(tmp_path / "app")
    text = (elsewhere.root / "maestro.yaml").read_text()
    elsewhere.write(
        {"maestro.yaml": text.replace(f"allowed_registries: ['{server.host}']", "allowed_registries: [ours]")}
    )
    elsewhere.commit()
    refused = elsewhere.run()
    assert refused.states()["package/gate"] == "failed"
    assert refused.states()["package/attach"] == "skipped"
    (reason,) = refused.decision["reasons"]
    assert (reason["rule"], reason["actual"]) == ("registry", server.host)
