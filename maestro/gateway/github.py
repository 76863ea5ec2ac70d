"""GitHub's webhooks: HMAC-SHA256 over the body, as ``X-Hub-Signature-256: sha256=<hexadecimal>``."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

from maestro.gateway.envelope import Headers, name_in, single
from maestro.gateway.provider import text_at
from maestro.gateway.refusal import RefusedError

HOOK_HEADER = "x-github-hook-id"
_SIGNATURE = "x-hub-signature-256"
_FORM = re.compile(r"sha256=([0-9a-f]{64})")


class GitHub:
    """Webhooks of GitHub, of repositories, organizations and Apps."""

    name = "github"
    kept = (
        "content-type",
        "user-agent",
        "x-github-event",
        "x-github-delivery",
        HOOK_HEADER,
        "x-github-hook-installation-target-id",
        "x-github-hook-installation-target-type",
    )

    def check(self, headers: Headers) -> None:
        """Event, id and a SHA-256 signature; the older SHA-1 is not enough."""
        self.event(headers)
        name_in(headers, "x-github-delivery")
        _signature(headers)

    def signed(self, headers: Headers, body: bytes, secrets: Sequence[str], now: float) -> bool:
        """Compares with all secrets; this protocol carries no time."""
        given = _signature(headers)
        holds = False
        for secret in secrets:
            holds |= hmac.compare_digest(hmac.digest(secret.encode(), body, hashlib.sha256), given)
        return holds

    def event(self, headers: Headers) -> str:
        """``push``, ``pull_request``, …"""
        return name_in(headers, "x-github-event")

    def delivery(self, headers: Headers, body: bytes) -> str:
        """The event's GUID, which all hooks that hear of the event are sent."""
        return name_in(headers, "x-github-delivery")

    def repository(self, payload: Mapping[str, Any]) -> str:
        """``repository.full_name``."""
        return text_at(payload, "repository", "full_name")


def _signature(headers: Headers) -> bytes:
    given = single(headers, _SIGNATURE)
    if given is None:
        raise RefusedError(
            401, "unsigned", "the webhook is not signed", next_step="set a secret for the webhook at GitHub"
        )
    found = _FORM.fullmatch(given)
    if found is None:
        raise RefusedError(
            401, "signature", f"{_SIGNATURE} is no SHA-256 signature", next_step="send it as GitHub does"
        )
    return bytes.fromhex(found[1])
