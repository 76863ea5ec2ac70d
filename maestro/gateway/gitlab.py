"""GitLab's webhooks: a signing token as in Standard Webhooks, or a secret token that is sent along.

A signing token begins with ``whsec_``; whoever has one can check that the body is GitLab's and how old it is. When a
webhook carries a signature and a signing token is known here, the signature decides, whatever token was sent along.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

from maestro.gateway.envelope import Headers, name_in, single
from maestro.gateway.provider import text_at
from maestro.gateway.refusal import RefusedError

SIGNING_PREFIX = "whsec_"
WINDOW_SECONDS = 300
"""How far the time in a signature may be from now, either way: what Standard Webhooks recommends."""
_TOKEN = "x-gitlab-token"
_SIGNATURE = "webhook-signature"
_TIME = re.compile(r"[0-9]{1,12}")
_MOST_SIGNATURES = 8


class GitLab:
    """Webhooks of GitLab, of projects and groups."""

    name = "gitlab"
    kept = (
        "content-type",
        "user-agent",
        "x-gitlab-event",
        "x-gitlab-event-uuid",
        "x-gitlab-webhook-uuid",
        "x-gitlab-instance",
        "idempotency-key",
        "webhook-id",
        "webhook-timestamp",
    )

    def check(self, headers: Headers) -> None:
        """Event, an id, and a token or a signature."""
        self.event(headers)
        self.delivery(headers, b"")
        if single(headers, _SIGNATURE) is not None:
            _claim(headers)
        elif single(headers, _TOKEN) is None:
            raise RefusedError(
                401,
                "unsigned",
                "the webhook has neither a signature nor a token",
                next_step="set a signing token for the webhook at GitLab",
            )

    def signed(self, headers: Headers, body: bytes, secrets: Sequence[str], now: float) -> bool:
        """Compares with all secrets of the kind that was used.

        Raises:
            RefusedError: 401, the signature holds and is older or younger than the window allows.
        """
        keys = [key for key in map(_signing_key, secrets) if key is not None]
        if keys and single(headers, _SIGNATURE) is not None:
            return _signature_holds(headers, body, keys, now)
        given = hashlib.sha256((single(headers, _TOKEN) or "").encode("latin-1")).digest()
        holds = False
        for secret in secrets:
            # A signing token is never taken as a token: it would be sent along, and was made not to be.
            if secret and not secret.startswith(SIGNING_PREFIX):
                holds |= hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), given)
        return holds

    def event(self, headers: Headers) -> str:
        """``Push Hook``, ``Merge Request Hook``, …"""
        return name_in(headers, "x-gitlab-event")

    def delivery(self, headers: Headers, body: bytes) -> str:
        """The id that stays when it is sent again.

        Versions of GitLab without one send the event's id, which a webhook shares with others that it set off; with
        the digest of the body it is unique.
        """
        for name in ("webhook-id", "idempotency-key"):
            if single(headers, name) is not None:
                return name_in(headers, name)
        return f"{name_in(headers, 'x-gitlab-event-uuid')}:{hashlib.sha256(body).hexdigest()[:32]}"

    def repository(self, payload: Mapping[str, Any]) -> str:
        """``project.path_with_namespace``."""
        return text_at(payload, "project", "path_with_namespace")


def _signature_holds(headers: Headers, body: bytes, keys: Sequence[bytes], now: float) -> bool:
    identity, time, signatures = _claim(headers)
    holds = False
    for key in keys:
        made = hmac.new(key, f"{identity}.{time}.".encode(), hashlib.sha256)
        made.update(body)
        for signature in signatures:
            holds |= hmac.compare_digest(made.digest(), signature)
    if holds and abs(now - int(time)) > WINDOW_SECONDS:
        raise RefusedError(
            401,
            "clock",
            f"the webhook was signed more than {WINDOW_SECONDS} seconds from now",
            next_step="set the clocks of both machines; send it again",
        )
    return holds


def _claim(headers: Headers) -> tuple[str, str, list[bytes]]:
    identity = name_in(headers, "webhook-id")
    time = single(headers, "webhook-timestamp") or ""
    if not _TIME.fullmatch(time):
        raise RefusedError(401, "signature", "webhook-timestamp is no time", next_step="send seconds since 1970")
    signatures = []
    for part in (single(headers, _SIGNATURE) or "").split(" ")[:_MOST_SIGNATURES]:
        version, _, text = part.partition(",")
        if version == "v1":
            signatures.append(_decoded(text) or b"")
    return identity, time, signatures


def _signing_key(secret: str) -> bytes | None:
    # The empty key would be known to everybody.
    return (_decoded(secret.removeprefix(SIGNING_PREFIX)) or None) if secret.startswith(SIGNING_PREFIX) else None


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        return None
