"""Where Ollama is, as OLLAMA_HOST says it.

Own code: the ``ollama`` package's reader is private, and takes ``::`` and ``0.0.0.0``, which people set for the server,
for addresses to connect to.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from maestro.errors import InputError

DEFAULT_PORT = 11434
LOOPBACK = "127.0.0.1"
_PORTS = {"http": 80, "https": 443}


def ollama_url(value: str | None = None) -> str:
    """The URL of the server, without a slash at its end.

    Args:
        value: ``host``, ``host:port``, ``:port``, an IPv6 address with or without brackets, or a URL; quotes and spaces
            around it are taken off. None or empty: ``http://127.0.0.1:11434``. Addresses that mean *all of this
            machine* when a server listens there become its loopback address.

    Raises:
        InputError: it is none of these.
    """
    text = (value or "").strip().strip("\"'").strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    scheme = scheme.lower()
    if scheme not in _PORTS:
        raise _unusable(text, f"'{scheme}' is neither http nor https")
    rest = _bracketed(rest)
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port
    except ValueError as error:
        raise _unusable(text, str(error)) from None
    if parts.username or parts.password:
        raise _unusable("…", "it holds a user name or a password")
    if parts.query or parts.fragment or any(character.isspace() for character in rest):
        raise _unusable(text, "it is more than a host, a port and a path")
    if port is None:
        port = _PORTS[scheme] if separator else DEFAULT_PORT
    path = parts.path.strip("/")
    return f"{scheme}://{_reachable(parts.hostname or LOOPBACK)}:{port}" + (f"/{path}" if path else "")


def is_local(url: str) -> bool:
    """Whether ``url`` leads to this machine, so that its memory and disk are the server's."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bracketed(rest: str) -> str:
    """A bare IPv6 address gets its brackets; everything else stays."""
    bare = rest.rstrip("/")
    try:
        return f"[{ipaddress.IPv6Address(bare)}]"
    except ValueError:
        return rest


def _reachable(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        address = ipaddress.ip_address(LOOPBACK if address.version == 4 else "::1")
    return f"[{address}]" if address.version == 6 else str(address)


def _unusable(text: str, why: str) -> InputError:
    return InputError(
        f"the address of Ollama '{text}' cannot be used: {why}",
        next_step="set OLLAMA_HOST to host, host:port or a URL, as in 127.0.0.1:11434",
    )
