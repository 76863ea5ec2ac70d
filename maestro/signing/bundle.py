"""Sigstore bundle v0.3 around a DSSE envelope: how a signed statement is kept and passed on.

https://github.com/sigstore/protobuf-specs (dev.sigstore.bundle.v1), https://github.com/secure-systems-lab/dsse
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from maestro.signing import strict_json
from maestro.signing.errors import RefusalCode, VerificationError
from maestro.signing.statement import MAX_STATEMENT_BYTES

BUNDLE_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BUNDLE_BYTES = MAX_STATEMENT_BYTES // 3 * 4 + 1024 * 1024

_MAX_STRUCTURE = 10_000
_MATERIAL = {"publicKey", "certificate", "x509CertificateChain", "tlogEntries", "timestampVerificationData"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle holds, not verified.

    Args:
        payload: the signed bytes.
        payload_type: what they are.
        signature: as the key's scheme has it; DER for ECDSA.
        keyid: sha256 of the signer's public key (DER), in hexadecimal.
    """

    payload: bytes
    payload_type: str
    signature: bytes
    keyid: str

    def to_json(self) -> bytes:
        """The bundle as JSON, for :func:`parse_bundle` and for every reader of Sigstore bundles."""
        hint = base64.b64encode(bytes.fromhex(self.keyid)).decode("ascii")
        document = {
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(self.payload).decode("ascii"),
                "payloadType": self.payload_type,
                # Empty, as cosign writes it: cosign 3 passes over a signature under an id that it has not made itself.
                "signatures": [{"sig": base64.b64encode(self.signature).decode("ascii"), "keyid": ""}],
            },
        }
        return json.dumps(document, separators=(",", ":")).encode("ascii")

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        return pre_authentication_encoding(self.payload_type, self.payload)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """PAE of DSSE v1: type and payload with their lengths, so that neither can be taken for a part of the other."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_bundle(data: bytes) -> Bundle:
    """The bundle in ``data``. There is one way to read it, or it is refused.

    Raises:
        VerificationError: ``malformed``, ``two_payloads``, ``wrong_type``, or ``unknown_key`` when it names none.
    """
    # Base64 has neither brackets nor commas, so a bundle holds few; millions would cost gigabytes to read.
    if len(data) <= MAX_BUNDLE_BYTES and sum(data.count(one) for one in (b"{", b"[", b",")) > _MAX_STRUCTURE:
        raise _refusal("it has more parts than any bundle")
    try:
        document = strict_json.parse(data, max_bytes=MAX_BUNDLE_BYTES)
    except strict_json.NotStrictJsonError as error:
        raise _refusal(str(error), code="two_payloads" if error.duplicate else "malformed") from None
    top = _object(document, "it", {"mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"})
    if "dsseEnvelope" in top and "messageSignature" in top:
        raise _refusal("it has two contents, a dsseEnvelope and a messageSignature", code="two_payloads")
    if top.get("mediaType") != BUNDLE_MEDIA_TYPE:
        raise _refusal(f"its mediaType is {str(top.get('mediaType'))[:100]!r}", code="wrong_type")
    if "dsseEnvelope" not in top:
        raise _refusal("it has no dsseEnvelope", code="wrong_type")
    envelope = _object(top["dsseEnvelope"], "dsseEnvelope", {"payload", "payloadType", "signatures"})
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or not signatures:
        raise _refusal("it has no signature")
    if len(signatures) > 1:
        raise _refusal(f"it has {len(signatures)} signatures instead of one", code="two_payloads")
    signature = _object(signatures[0], "signatures", {"sig", "keyid"})
    keyid = _keyid(top.get("verificationMaterial"))
    named = signature.get("keyid", "")
    if named not in ("", keyid):
        raise _refusal("its hint and its signature name different keys")
    payload_type = envelope.get("payloadType")
    if payload_type != PAYLOAD_TYPE:
        raise _refusal(f"its payloadType is {str(payload_type)[:100]!r}, not {PAYLOAD_TYPE}", code="wrong_type")
    return Bundle(
        payload=_base64(envelope.get("payload"), "payload"),
        payload_type=PAYLOAD_TYPE,
        signature=_base64(signature.get("sig"), "sig"),
        keyid=keyid,
    )


def _keyid(material: Any) -> str:
    given = _object(material, "verificationMaterial", _MATERIAL)
    kinds = [kind for kind in ("publicKey", "certificate", "x509CertificateChain") if kind in given]
    if len(kinds) > 1:
        raise _refusal(f"it names its signer in two ways: {' and '.join(kinds)}", code="two_payloads")
    if kinds != ["publicKey"]:
        raise _refusal("it was not signed with a managed key", code="unknown_key")
    hint = _object(given["publicKey"], "publicKey", {"hint"}).get("hint")
    if not hint:
        raise _refusal("it does not say which key signed it", code="unknown_key")
    digest = _base64(hint, "hint")
    if len(digest) != 32:
        raise _refusal("its hint is not the sha256 of a public key", code="unknown_key")
    return digest.hex()


def _object(value: Any, name: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refusal(f"{name} is not a JSON object")
    for key in value:
        if key not in known:
            raise _refusal(f"{name} has an unknown field {key[:60]!r}")
    return value


def _base64(value: Any, name: str) -> bytes:
    if not isinstance(value, str) or not value:
        raise _refusal(f"{name} is missing or not text")
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _refusal(f"{name} is not base64") from None
    # Padding bits can differ without a change of the bytes; one text for each value leaves nothing to play with.
    if base64.b64encode(decoded).decode("ascii") != value:
        raise _refusal(f"{name} is not canonical base64")
    return decoded


def _refusal(reason: str, *, code: RefusalCode = "malformed") -> VerificationError:
    next_steps: dict[RefusalCode, str] = {
        "wrong_type": f"give a Sigstore bundle {BUNDLE_MEDIA_TYPE} with a DSSE envelope of an in-toto statement",
        "unknown_key": "sign with a key of the trust file; `maestro keys list` shows them",
    }
    return VerificationError(
        f"the bundle is refused: {reason}",
        code=code,
        next_step=next_steps.get(code, "fetch it again from where it was made; do not use what it is about meanwhile"),
    )
