"""Forwards entries as syslog messages (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425).

Syslog knows no receipt. Over TCP and TLS each batch has a connection of its own, closed by us at its end; that the
receiver closes it too, in order, says that it has read everything. Over UDP nothing can be known.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from maestro.audit.errors import AuditInputError, ForwardError
from maestro.audit.event import Entry, moment
from maestro.audit.formats import FORMATS, severity

_FACILITY = 13  # log audit
_BOM = b"\xef\xbb\xbf"
_LARGEST_DATAGRAM = 65_000
_NOTICE, _WARNING = 5, 4


def message(entry: Entry, origin: str, form: str, host: str) -> bytes:
    """The message of an entry, without framing.

    Its structured data name the entry, so that a receiver can drop what it was sent twice.
    """
    priority = 8 * _FACILITY + (_WARNING if severity(entry) >= 6 else _NOTICE)
    name = origin.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
    data = f'[audit@32473 index="{entry.index}" origin="{name}"]'
    head = f"<{priority}>1 {moment(entry.at)} {_word(host, 255)} maestro - {_word(entry.kind, 32)} {data} "
    return head.encode() + _BOM + FORMATS[form](entry, origin).encode()


def _word(text: str, longest: int) -> str:
    return "".join(one if 33 <= ord(one) <= 126 else "_" for one in text)[:longest] or "-"


class SyslogReceiver:
    """A syslog server.

    Args:
        transport: ``udp``, ``tcp`` or ``tls``.
    """

    def __init__(
        self, transport: str, host: str, port: int, *, form: str, ca_file: Path | None, timeout: float
    ) -> None:
        self._transport = transport
        self._address = (host, port)
        self._form = form
        self._timeout = timeout
        self._context: ssl.SSLContext | None = None
        if transport == "tls":
            try:
                self._context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
            except (OSError, ssl.SSLError) as error:
                raise AuditInputError(
                    f"the file of authorities {ca_file} cannot be used: {error}", next_step="name a PEM file"
                ) from error

    def send(self, entries: Sequence[Entry], origin: str) -> None:
        """Sends the entries and, but for UDP, waits until the receiver has closed its side.

        Raises:
            ForwardError: the connection failed before that.
        """
        messages = [message(entry, origin, self._form, socket.gethostname()) for entry in entries]
        try:
            if self._transport == "udp":
                self._datagrams(messages)
            else:
                self._stream(b"".join(b"%d %b" % (len(one), one) for one in messages))
        except (OSError, ssl.SSLError) as error:
            host, port = self._address
            raise ForwardError(
                f"syslog+{self._transport}://{host}:{port} did not take the entries from {entries[0].index} on: "
                f"{str(error) or type(error).__name__}",
                next_step="they are kept and sent again; check the receiver",
            ) from error

    def _datagrams(self, messages: Sequence[bytes]) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as sender:
            sender.settimeout(self._timeout)
            sender.connect(address)
            for one in messages:
                sender.send(one[:_LARGEST_DATAGRAM])

    def _stream(self, data: bytes) -> None:
        with socket.create_connection(self._address, self._timeout) as plain:
            if self._context is None:
                plain.sendall(data)
                plain.shutdown(socket.SHUT_WR)
                self._wait_for_end(plain)
                return
            with self._context.wrap_socket(plain, server_hostname=self._address[0]) as secured:
                secured.sendall(data)
                # Sends close_notify and waits for the receiver's, which comes after all it has read.
                secured.unwrap()

    @staticmethod
    def _wait_for_end(connection: socket.socket) -> None:
        while connection.recv(4096):
            continue
