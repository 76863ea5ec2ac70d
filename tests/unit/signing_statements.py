"""A key, a trust root and a signed statement for the tests of maestro.signing."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from maestro.artifacts.subject import Subject
from maestro.signing import Origin, Signer, TrustedKey, TrustRoot, make_statement, sign_statement
from maestro.signing.key_file import new_key

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DIGEST = {"sha256": "ab" * 32}
PREDICATE_TYPE = "https://example.org/checked/v1"


@dataclass(frozen=True)
class Signed:
    """A bundle, who signed it and who trusts it."""

    signer: Signer
    trust: TrustRoot
    bundle: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The bundle as JSON, to be changed."""
        document: dict[str, Any] = json.loads(self.bundle)
        return document


def origin(at: datetime = NOW, *, revision: str = "1" * 40) -> Origin:
    return Origin("shop", revision, "run-1", "build/image", at)


def statement(at: datetime = NOW, **changes: Any) -> bytes:
    return make_statement([Subject("app.whl", DIGEST)], PREDICATE_TYPE, {"passed": True}, origin=origin(at, **changes))


def trusted(signer: Signer, **changes: Any) -> TrustedKey:
    given = {"name": "release", "valid_from": NOW - timedelta(days=30)} | changes
    return TrustedKey.of(signer.public_key, **given)


def signed(payload: bytes | None = None, **changes: Any) -> Signed:
    signer, _private = new_key()
    return Signed(
        signer,
        TrustRoot((trusted(signer, **changes),)),
        sign_statement(statement() if payload is None else payload, signer),
    )


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()
