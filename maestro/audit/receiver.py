"""Where entries are forwarded to, by URL: an HTTP collector, or syslog over UDP, TCP or TLS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from maestro.audit.errors import AuditInputError
from maestro.audit.event import Entry


class Receiver(Protocol):
    """Takes entries and says when it has them."""

    def send(self, entries: Sequence[Entry], origin: str) -> None:
        """Delivers all entries; when this returns the receiver has them, as far as its protocol can tell.

        Raises:
            ForwardError: it does not have them, or not all.
        """
        ...


def open_receiver(
    url: str,
    *,
    form: str = "jsonl",
    headers: Mapping[str, str] | None = None,
    ca_file: Path | None = None,
    timeout: float = 30.0,
) -> Receiver:
    """The receiver at an address.

    Args:
        url: ``https://host/path``, ``syslog+tls://host:6514``, ``syslog+tcp://host:601`` or ``syslog+udp://host:514``.
        form: ``jsonl`` or ``cef``.
        headers: for HTTP: a token, for example.
        ca_file: PEM file of the authorities to trust instead of the system's.
        timeout: seconds for each step of a delivery.

    Raises:
        AuditInputError: the address is none of these, or holds a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.password or parts.username:
        raise AuditInputError(
            "the receiver's address holds a password", next_step="give a token in a variable: --token-env NAME"
        )
    if host and parts.scheme in ("http", "https"):
        from maestro.audit.http_receiver import HttpReceiver

        return HttpReceiver(url, form=form, headers=headers or {}, ca_file=ca_file, timeout=timeout)
    if host and parts.scheme in ("syslog+udp", "syslog+tcp", "syslog+tls"):
        from maestro.audit.syslog_receiver import SyslogReceiver

        transport = parts.scheme.removeprefix("syslog+")
        standard = {"udp": 514, "tcp": 601, "tls": 6514}[transport]
        return SyslogReceiver(transport, host, port or standard, form=form, ca_file=ca_file, timeout=timeout)
    raise AuditInputError(
        "entries cannot be forwarded to this address",
        next_step="give https://host/path, or syslog+tls://, syslog+tcp:// or syslog+udp:// with host and port",
    )
