"""Credentials for git: by environment only, so that no argument, address, setting or process list shows them."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from maestro.errors import InputError
from maestro.mirror.address import Address
from maestro.secrets.masking import Masker
from maestro.secrets.values import MINIMUM_LENGTH

_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


def no_credentials() -> Mapping[str, str]:
    """For origins that ask for none."""
    return {}


def token_environment(url: str, token: str, *, user: str = "x-access-token") -> dict[str, str]:
    """Variables that make git send ``token`` to the host of ``url``, and to no other.

    HTTP Basic authentication (RFC 7617), which GitHub (user ``x-access-token``), GitLab (``oauth2``) and Gitea take.

    Raises:
        InputError: the address is not https (or http on this machine), or the token cannot be sent in a header.
    """
    address = Address.parse(url)
    if address.scheme != "https" and not (address.scheme == "http" and address.loopback):
        raise InputError(
            f"a token is sent over https only, and {address} is not", next_step="use the repository's https address"
        )
    if not token or not token.isprintable() or not token.isascii() or ":" in user:
        raise InputError("the token is empty or holds characters a header cannot", next_step="store it again")
    basic = base64.b64encode(f"{user}:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{address.scheme}://{address.authority}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }


def settings_of(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """The git settings ``environment`` brings (``GIT_CONFIG_COUNT``), in their order.

    Raises:
        InputError: they are incomplete.
    """
    try:
        return [
            (environment[f"GIT_CONFIG_KEY_{number}"], environment[f"GIT_CONFIG_VALUE_{number}"])
            for number in range(int(environment.get("GIT_CONFIG_COUNT", "0")))
        ]
    except (KeyError, ValueError):
        raise InputError(
            "the credentials' GIT_CONFIG_COUNT does not fit its keys and values", next_step="correct them"
        ) from None


def cleaner(environment: Mapping[str, str]) -> Masker:
    """Masks every value of ``environment`` that may be a secret, and what a Basic header carries inside it."""
    values: set[str] = set()
    for name, value in environment.items():
        if name.startswith(("GIT_CONFIG_KEY", "GIT_CONFIG_COUNT")):
            continue
        words = [value, *value.split()]
        for word in words:
            values.update((word, *_inside(word)))
    return Masker(value for value in values if len(value.strip()) >= max(MINIMUM_LENGTH, 6))


def _inside(word: str) -> list[str]:
    try:
        text = base64.b64decode(word, validate=True).decode()
    except ValueError:
        return []
    return [text, text.partition(":")[2]]


def without_userinfo(text: str) -> str:
    """``text`` with user and password cut out of every URL in it."""
    return _USERINFO.sub("***@", text)
