"""Forwarding to real receivers: nothing is lost while one is away, and each gets what it does not have yet."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from maestro.audit import AuditEvent, AuditInputError, AuditLog, AuditTamperedError, ForwardError
from maestro.audit.forward import BATCH, follow, forward, position
from maestro.audit.http_receiver import HttpReceiver
from maestro.audit.receiver import open_receiver
from tests.integration.audit_logs import Intruder, Place, events
from tests.loopback import HOST, Handler, serving


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    url = (
        f"sqlite:///{tmp_path / 'audit.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_database")
    )
    return Place(url, tmp_path / "audit.pem")


@pytest.fixture
def sqlite_log(tmp_path: Path) -> Iterator[AuditLog]:
    with Place(f"sqlite:///{tmp_path / 'audit.db'}", tmp_path / "audit.pem").open() as opened:
        yield opened


class Collector(ThreadingHTTPServer):
    """An HTTP collector that keeps what it was sent.

    Args:
        answers: status codes of the first requests; 200 after them. A body is kept only when the answer is 200.
    """

    def __init__(self, answers: tuple[int, ...] = ()) -> None:
        super().__init__((HOST, 0), _Collect)
        self.answers = list(answers)
        self.kept: list[dict[str, Any]] = []
        self.requests: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ingest"

    @property
    def indexes(self) -> list[int]:
        return [one["index"] for one in self.kept]


class _Collect(Handler):
    server: Collector

    def do_POST(self) -> None:
        body = self.body()
        self.server.requests.append({name.lower(): value for name, value in self.headers.items()})
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status == 200:
            self.server.kept += [json.loads(line) for line in body.decode().splitlines()]
        self.reply(status, headers={"retry-after": "0"})


def quick(url: str) -> HttpReceiver:
    """A receiver that does not wait between its tries."""
    return HttpReceiver(url, form="jsonl", headers={}, ca_file=None, timeout=10, pause=0.001)


def test_a_receiver_gets_every_entry_once_while_all_goes_well(place: Place) -> None:
    collector = Collector()
    with place.open() as log, serving(collector):
        log.append_many(events(BATCH + 20))
        assert forward(log, quick(collector.url), "siem") == BATCH + 20
        assert forward(log, quick(collector.url), "siem") == 0
        log.append_many(events(3))
        assert forward(log, quick(collector.url), "siem") == 3
    assert collector.indexes == list(range(BATCH + 23))
    assert len(collector.requests) == 3


def test_each_receiver_has_a_cursor_of_its_own(sqlite_log: AuditLog) -> None:
    first, second = Collector(), Collector()
    with serving(first), serving(second):
        sqlite_log.append_many(events(2))
        forward(sqlite_log, quick(first.url), "first")
        sqlite_log.append_many(events(2))
        forward(sqlite_log, quick(second.url), "second")
        forward(sqlite_log, quick(first.url), "first")
    assert first.indexes == second.indexes == [0, 1, 2, 3]


def test_a_busy_receiver_is_tried_again(sqlite_log: AuditLog) -> None:
    collector = Collector(answers=(503, 429, 500))
    with serving(collector):
        sqlite_log.append_many(events(4))
        assert forward(sqlite_log, quick(collector.url), "siem") == 4
    assert collector.indexes == [0, 1, 2, 3]
    assert len(collector.requests) == 4


@pytest.mark.parametrize(("answers", "requests"), [((503,) * 5, 5), ((401,), 1), ((400,), 1), ((302,), 1)])
def test_a_receiver_that_refuses_is_an_error_and_loses_nothing(
    sqlite_log: AuditLog, answers: tuple[int, ...], requests: int
) -> None:
    collector = Collector(answers)
    with serving(collector):
        sqlite_log.append_many(events(4))
        with pytest.raises(
            ForwardError, match=f"did not take the entries from 0 on: HTTP {answers[0]}\n  next: they are"
        ):
            forward(sqlite_log, quick(collector.url), "siem")
        assert len(collector.requests) == requests
        assert position(sqlite_log, "siem") == 0
        assert forward(sqlite_log, quick(collector.url), "siem") == 4
    assert collector.indexes == [0, 1, 2, 3]


def test_what_was_logged_while_the_receiver_was_down_comes_when_it_is_back(place: Place) -> None:
    collector = Collector()
    url = collector.url
    with place.open() as log:
        with serving(collector):
            log.append_many(events(2))
            forward(log, quick(url), "siem")
        log.append_many(events(5))
        with pytest.raises(ForwardError, match="did not take the entries from 2 on: ConnectError"):
            forward(log, quick(url), "siem")
    with place.open() as log:
        back = Collector()
        with serving(back):
            assert forward(log, quick(back.url), "siem") == 5
        assert back.indexes == [2, 3, 4, 5, 6]


def test_batches_before_the_one_that_failed_are_not_sent_again(sqlite_log: AuditLog) -> None:
    collector = Collector(answers=(200, 400))
    with serving(collector):
        sqlite_log.append_many(events(BATCH + 5))
        with pytest.raises(ForwardError, match=f"from {BATCH} on"):
            forward(sqlite_log, quick(collector.url), "siem")
        assert forward(sqlite_log, quick(collector.url), "siem") == 5
    assert collector.indexes == list(range(BATCH + 5))


def test_large_entries_are_sent_in_smaller_batches(sqlite_log: AuditLog) -> None:
    collector = Collector()
    with serving(collector):
        sqlite_log.append_many([AuditEvent("a.b", "ann", "x", {"text": "y" * 900_000}) for _ in range(6)])
        forward(sqlite_log, quick(collector.url), "siem")
    assert collector.indexes == list(range(6))
    assert max(int(one["content-length"]) for one in collector.requests) < 5_000_000


def test_following_goes_on_through_failures_until_it_is_stopped(sqlite_log: AuditLog) -> None:
    collector = Collector(answers=(400, 400))
    stop, failures = threading.Event(), []

    class Stopping(HttpReceiver):
        def send(self, *arguments: Any) -> None:
            super().send(*arguments)
            stop.set()

    receiver = Stopping(collector.url, form="jsonl", headers={}, ca_file=None, timeout=10)
    with serving(collector):
        sqlite_log.append_many(events(2))
        follow(sqlite_log, receiver, "siem", stop, every=0.001, failed=failures.append)
    assert collector.indexes == [0, 1]
    assert len(failures) == 2


def test_the_token_goes_into_the_header_and_nowhere_else(sqlite_log: AuditLog) -> None:
    collector = Collector(answers=(200, 400))
    with serving(collector):
        sqlite_log.append_many(events(BATCH + 1))
        receiver = open_receiver(f"{collector.url}?key=q", headers={"authorization": "Bearer hunter2"})
        with pytest.raises(ForwardError) as raised:
            forward(sqlite_log, receiver, "siem")
    assert collector.requests[0]["authorization"] == "Bearer hunter2"
    assert collector.requests[0]["content-type"] == "application/x-ndjson"
    assert "hunter2" not in str(raised.value)
    assert "key=q" not in str(raised.value)


def test_an_entry_that_was_tampered_with_is_not_forwarded(place: Place) -> None:
    collector = Collector()
    with place.open() as log, serving(collector):
        log.append_many(events(4))
        intruder = Intruder(place.url)
        intruder.run("UPDATE audit_entries SET data = 'nonsense' WHERE idx = 2")
        intruder.close()
        with pytest.raises(AuditTamperedError, match="row 2 of the audit log was changed"):
            forward(log, quick(collector.url), "siem")
    assert 2 not in collector.indexes


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "siem")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "siem.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def unframed(data: bytes) -> list[bytes]:
    """Messages of a stream with octet counting (RFC 6587, section 3.4.1)."""
    messages = []
    while data:
        count, _, data = data.partition(b" ")
        messages.append(data[: int(count)])
        data = data[int(count) :]
    return messages


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


@contextmanager
def listening(serve: Callable[[socket.socket], None], connections: int = 1) -> Iterator[int]:
    """A server that hands so many connections to ``serve``, one after the other; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            for _ in range(connections):
                connection, _address = server.accept()
                with connection:
                    serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_syslog_over_tcp_frames_each_message_and_waits_until_all_was_read(sqlite_log: AuditLog) -> None:
    received: list[bytes] = []
    sqlite_log.append_many([*events(3), AuditEvent("a.b", "ann", "x", {"text": "one\ntwo ü"})])
    with listening(lambda connection: received.append(read_all(connection))) as port:
        assert forward(sqlite_log, open_receiver(f"syslog+tcp://127.0.0.1:{port}"), "siem") == 4
    messages = unframed(received[0])
    assert [json.loads(one.partition(b"\xef\xbb\xbf")[2])["index"] for one in messages] == [0, 1, 2, 3]
    assert all(one.startswith(b"<109>1 20") for one in messages)


def test_syslog_over_tls_checks_the_receivers_certificate(sqlite_log: AuditLog, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                received.append(read_all(secured))
                secured.unwrap()
        except OSError:
            return

    sqlite_log.append_many(events(3))
    with listening(serve, connections=2) as port:
        with pytest.raises(ForwardError, match="certificate verify failed"):
            forward(sqlite_log, open_receiver(f"syslog+tls://127.0.0.1:{port}"), "siem")
        assert forward(sqlite_log, open_receiver(f"syslog+tls://127.0.0.1:{port}", ca_file=file), "siem") == 3
    assert len(unframed(received[-1])) == 3


def test_a_syslog_server_that_dies_before_it_has_read_everything_gets_it_again(sqlite_log: AuditLog) -> None:
    received: list[bytes] = []

    def reset(connection: socket.socket) -> None:
        connection.recv(10)
        # Closed with unread data and without lingering: the peer sees a reset, as when the server is killed.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    sqlite_log.append_many(events(200))
    with (
        listening(reset) as port,
        pytest.raises(ForwardError, match=r"syslog\+tcp://127.0.0.1:\d+ did not take the entries from 0 on"),
    ):
        forward(sqlite_log, open_receiver(f"syslog+tcp://127.0.0.1:{port}"), "siem")
    with listening(lambda connection: received.append(read_all(connection))) as port:
        assert forward(sqlite_log, open_receiver(f"syslog+tcp://127.0.0.1:{port}"), "siem") == 200
    assert len(unframed(received[0])) == 200


def test_a_syslog_server_that_is_not_there_is_an_error_and_loses_nothing(sqlite_log: AuditLog) -> None:
    sqlite_log.append_many(events(2))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ForwardError, match="Connection refused\n  next: they are kept and sent again"):
        forward(sqlite_log, open_receiver(f"syslog+tcp://127.0.0.1:{port}"), "siem")
    assert position(sqlite_log, "siem") == 0


def test_syslog_over_udp_sends_a_datagram_for_each_entry(sqlite_log: AuditLog) -> None:
    sqlite_log.append_many(events(3))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        receiver = open_receiver(f"syslog+udp://127.0.0.1:{server.getsockname()[1]}", form="cef")
        assert forward(sqlite_log, receiver, "siem") == 3
        messages = [server.recv(65536) for _ in range(3)]
    assert all(b"\xef\xbb\xbfCEF:0|Maestro|" in one for one in messages)


@pytest.mark.parametrize("scheme", ["https", "syslog+tls"])
def test_a_file_of_authorities_that_is_none_is_refused(scheme: str, tmp_path: Path) -> None:
    for file in (tmp_path / "missing.pem", Path(__file__)):
        with pytest.raises(AuditInputError, match=r"the file of authorities .* cannot be used"):
            open_receiver(f"{scheme}://siem.example/x", ca_file=file)
