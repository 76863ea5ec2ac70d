"""Evidence attached to an image, verified by the real cosign with nothing but the public key."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest

from assets.images import IMAGE_BUILD
from maestro.oci.attach import attach_bundle
from maestro.oci.reference import Reference
from maestro.oci.registry import Registry
from maestro.signing import make_statement, open_signer, sign_statement
from tests.integration.registry_server import RegistryServer, registry
from tests.unit.step_harness import harness

__all__ = ["registry"]

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
PROVENANCE = "https://slsa.dev/provenance/v1"
PREDICATE = {
    "buildDefinition": {"buildType": "https://example.com/build", "externalParameters": {}},
    "runDetails": {"builder": {"id": "https://example.com/builder"}},
}


@pytest.fixture(scope="session")
def cosign() -> str:
    path = os.pathsep.join([str(ROOT / ".cache" / "interop" / "bin"), os.environ["PATH"]])
    found = shutil.which("cosign", path=path)
    assert found, "cosign is not installed: ./scripts/interop"
    return found


def verify(cosign: str, image: str, key: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(cosign, "verify-attestation", "--key", str(key), "--type", "slsaprovenance1"),
            *("--insecure-ignore-tlog", "--allow-insecure-registry", *flags, image),
        ],
        env={"HOME": str(key.parent), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(("--new-bundle-format=true",), id="the bundle among the referrers"),
        pytest.param(("--new-bundle-format=false",), id="the envelope under the tag .att"),
    ],
)
def test_cosign_verifies_what_was_attached_with_the_right_key_only(
    tmp_path: Path, registry: RegistryServer, cosign: str, flags: tuple[str, ...]
) -> None:
    step = harness(tmp_path).write({"Containerfile": "FROM scratch\nCOPY hello /hello\n", "hello": str(flags)})
    pushed = step.run(IMAGE_BUILD, registry=f"{registry.host}/cosign")
    image = Reference.parse(str(pushed.subjects[0].uri))
    keys = []
    for name in ("right", "wrong"):
        signer = open_signer(f"file:{tmp_path / name}.pem", environ={}, create=True)
        (tmp_path / f"{name}.pub").write_text(signer.public_key.pem)
        keys.append(signer)
    bundle = sign_statement(make_statement(pushed.subjects, PROVENANCE, PREDICATE), keys[0])
    with Registry(registry.host) as client:
        attach_bundle(client, image, bundle, PROVENANCE)

    good = verify(cosign, str(image), tmp_path / "right.pub", *flags)
    assert good.returncode == 0, good.stderr
    statement = json.loads(b64decode(json.loads(good.stdout.splitlines()[0])["payload"]))
    assert statement["subject"][0]["digest"] == pushed.subjects[0].digest
    assert statement["predicate"] == PREDICATE

    bad = verify(cosign, str(image), tmp_path / "wrong.pub", *flags)
    assert bad.returncode != 0
    assert "no matching attestations" in bad.stderr
