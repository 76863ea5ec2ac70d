"""Sigstore's own JavaScript libraries verify a bundle, and refuse what Maestro refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maestro.signing import open_signer, sign_statement
from tests.unit.signing_statements import base64_of, statement

ROOT = Path(__file__).parents[2]
NODE = ROOT / ".cache" / "node"

PROGRAM = """
const { createRequire } = require('module');
const need = createRequire(process.argv[1] + '/');
const { bundleFromJSON } = need('@sigstore/bundle');
const { toSignedEntity, toTrustMaterial, Verifier } = need('@sigstore/verify');
const { crypto } = need('@sigstore/core');
const given = JSON.parse(require('fs').readFileSync(0));
const nothing = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const key = { publicKey: crypto.createPublicKey(given.pem), validFor: () => true };
const trust = toTrustMaterial(nothing, (hint) => {
  if (hint !== given.hint) throw new Error(`key not found: ${hint}`);
  return key;
});
try {
  const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
  verifier.verify(toSignedEntity(bundleFromJSON(given.bundle)));
  console.log('verified');
} catch (error) {
  console.log(`${error.code ?? error.name}: ${error.message}`);
}
"""


@pytest.fixture(scope="module")
def node() -> Path:
    """Node and Sigstore's libraries, installed on first use."""
    subprocess.run(
        [ROOT / "scripts" / "setup-node"], env={**os.environ, "PYTHON": sys.executable}, check=True, timeout=600
    )
    return NODE


def answer(node: Path, bundle: Any, pem: str, hint: str) -> str:
    given = json.dumps({"bundle": bundle, "pem": pem, "hint": hint})
    done = subprocess.run(
        [node / "bin" / "node", "-e", PROGRAM, node / "node_modules"],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_sigstore_verifies_a_bundle_and_refuses_it_once_it_was_tampered_with(node: Path, tmp_path: Path) -> None:
    signer = open_signer(f"file:{tmp_path}/keys/development.pem", environ={}, create=True)
    other = open_signer(f"file:{tmp_path}/keys/other.pem", environ={}, create=True)
    bundle = json.loads(sign_statement(statement(), signer))
    pem, hint = signer.public_key.pem, signer.public_key.hint
    assert answer(node, bundle, pem, hint) == "verified"
    assert answer(node, bundle, other.public_key.pem, hint).startswith("SIGNATURE_ERROR")
    assert "key not found" in answer(node, bundle, pem, other.public_key.hint)
    bundle["dsseEnvelope"]["payload"] = base64_of(statement().replace(b"true", b"null"))
    assert answer(node, bundle, pem, hint).startswith("SIGNATURE_ERROR")
