"""What a registry asks for when it says 401: HTTP Basic, or a token of the distribution token authentication."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from maestro.oci.auth import Credentials
from maestro.oci.errors import DeniedError, MalformedAnswerError
from maestro.oci.reference import is_loopback

if TYPE_CHECKING:
    import httpx

_PARAMETER = re.compile(r'([A-Za-z_]+)=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^\s,"]+))')
_TOKEN_LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True)
class Challenge:
    """A ``WWW-Authenticate`` header (RFC 9110, section 11.6.1)."""

    scheme: str
    realm: str
    service: str
    scope: str


def parse_challenge(header: str) -> Challenge | None:
    """The challenge in ``header``; None when there is none we know how to answer."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() not in ("basic", "bearer"):
        return None
    found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    return Challenge(scheme.lower(), found.get("realm", ""), found.get("service", ""), found.get("scope", ""))


def basic(credentials: Credentials) -> str:
    """The ``Authorization`` header of RFC 7617."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def fetch_token(
    client: httpx.Client, challenge: Challenge, scope: str, credentials: Credentials | None, registry: str
) -> str:
    """The ``Authorization`` header for ``scope``, from the realm the registry names; anonymous without credentials.

    Raises:
        DeniedError: the realm refuses, or is not protected by TLS.
        MalformedAnswerError: the realm answers with no token.
        httpx.HTTPError: the realm does not answer.
    """
    parts = urlsplit(challenge.realm)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc)):
        raise DeniedError(
            f"the registry {registry} sends its users to '{challenge.realm[:120]}' for a token, which is not HTTPS",
            next_step="use a registry that protects passwords",
        )
    wanted = {"scope": scope, **({"service": challenge.service} if challenge.service else {})}
    headers = {"Authorization": basic(credentials)} if credentials else {}
    answer = client.get(challenge.realm, params=wanted, headers=headers)
    if answer.status_code in (400, 401, 403):
        raise DeniedError(
            f"{parts.netloc} gives no token for {scope} ({answer.status_code})",
            next_step=f"log in: skopeo login {registry}",
        )
    try:
        document = json.loads(answer.content[:_TOKEN_LIMIT]) if answer.status_code == 200 else {}
        token = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        token = None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise MalformedAnswerError(
            f"{parts.netloc} answered {answer.status_code} without a token when asked for one for {registry}",
            next_step="ask whoever runs the registry; its token service is broken",
        )
    return f"Bearer {token}"
