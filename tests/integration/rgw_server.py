"""Runs Ceph's object gateway for the tests: a server of S3 that truly enforces Object Lock, all in memory, on the loopback interface.

A monitor, one object store daemon (memstore) and the gateway, with cephx between them, TLS beside plain HTTP, and a KMS
with one key. Three processes, about 150 MB, up in two seconds.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

DEADLINE = 60.0
"""Seconds the server may take to start, and each process to stop."""

KMS_KEY = "evidence-key"
USERS = ("admin", "ci", "other")
PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin", "openssl")

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{monitor}
ms bind msgr1 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {home}/keyring
run dir = {home}
crash dir = {home}
log file = {home}/$name.log
admin socket =
mon data = {home}/monitor
mon allow pool size one = true
mon max pg per osd = 10000
mon data avail crit = 1
# Every pool the gateway makes waits for an agreement; a monitor that is alone need not gather proposals for a second.
paxos propose interval = 0.02
paxos min wait = 0.01
osd data = {home}/store
osd objectstore = memstore
memstore device bytes = 1G
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class load list = *
osd class default list = *
[client]
rgw data = {home}/gateway
rgw frontends = beast endpoint=127.0.0.1:{http} ssl_endpoint=127.0.0.1:{https} ssl_certificate={home}/tls.pem ssl_private_key={home}/tls.key
rgw crypt require ssl = false
rgw lc max objs = 1
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {kms_key}={kms_secret}
"""


class RgwUnavailableError(Exception):
    """The gateway cannot be run here; the message names what to install or what a program said."""


@dataclass(frozen=True)
class RgwServer:
    """A running gateway.

    Args:
        endpoint: plain HTTP.
        tls_endpoint: HTTPS, with a certificate of ``authority``.
        authority: file to trust.
        users: name -> access key and secret.
        home: folder of its configuration.
    """

    endpoint: str
    tls_endpoint: str
    authority: Path
    users: Mapping[str, tuple[str, str]]
    home: Path

    def environ(self, user: str) -> dict[str, str]:
        """What the environment of ``user`` holds."""
        key, secret = self.users[user]
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_CA_BUNDLE": str(self.authority)}

    def run_lifecycle(self) -> None:
        """Applies every bucket's lifecycle rules once, with a second for each day they name."""
        _run(self.home, "radosgw-admin", "lc", "process", "--rgw-lc-debug-interval=1")


@contextmanager
def rgw_server() -> Iterator[RgwServer]:
    """Starts a gateway and yields it; stops and removes it afterwards.

    Raises:
        RgwUnavailableError: Ceph is not installed, or does not start.
    """
    missing = [program for program in PROGRAMS if shutil.which(program, path=_environment()["PATH"]) is None]
    if missing:
        raise RgwUnavailableError(
            f"these are missing: {', '.join(missing)}; install the Debian packages radosgw, ceph-mon and ceph-osd,"
            " or run ./scripts/setup"
        )
    home = Path(tempfile.mkdtemp(prefix="maestro-rgw-"))
    try:
        for attempt in range(3):
            try:
                with ExitStack() as processes:
                    server = _start(home / str(attempt), processes)
                    yield server
                    return
            except _PortTakenError:
                continue
        raise RgwUnavailableError("other processes took every port that was tried")
    finally:
        shutil.rmtree(home, ignore_errors=True)


class _PortTakenError(Exception):
    """Another process took a port between our looking and the server's."""


def _start(home: Path, processes: ExitStack) -> RgwServer:
    for folder in ("monitor", "store", "gateway"):
        (home / folder).mkdir(parents=True)
    fsid, (monitor, http, https) = str(uuid.uuid4()), _free_ports(3)
    kms_secret = base64.b64encode(secrets.token_bytes(32)).decode()
    (home / "ceph.conf").write_text(
        CONFIGURATION.format(
            home=home, fsid=fsid, monitor=monitor, http=http, https=https, kms_key=KMS_KEY, kms_secret=kms_secret
        )
    )
    _make_keys(home)
    _make_certificate(home)
    address = f"[v2:127.0.0.1:{monitor}]"
    _run(home, "monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, str(home / "monmap"))
    _run(home, "ceph-mon", "-i", "a", "--mkfs", "--monmap", str(home / "monmap"))
    _spawn(home, processes, "ceph-mon", "-i", "a", "-f")
    store = str(uuid.uuid4())
    _run(home, "ceph", "--connect-timeout", str(int(DEADLINE)), "osd", "create", store)
    _run(home, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store)
    _spawn(home, processes, "ceph-osd", "-i", "0", "-f")
    users = {user: _make_user(home, user) for user in USERS}
    gateway = _spawn(home, processes, "radosgw", "-n", "client.rgw", "--keyring", str(home / "keyring"), "-f")
    _wait(home, gateway, f"http://127.0.0.1:{http}")
    return RgwServer(f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}", home / "tls.pem", users, home)


def _make_keys(home: Path) -> None:
    ring = str(home / "keyring")
    everything = [("mon.", "mon"), ("client.admin", "mon osd mgr"), ("osd.0", "mon osd"), ("client.rgw", "mon osd")]
    for name, parts in everything:
        capabilities = [word for part in parts.split() for word in ("--cap", part, "allow *")]
        create = ["--create-keyring"] if name == "mon." else []
        _run(home, "ceph-authtool", ring, *create, "--gen-key", "-n", name, *capabilities)


def _make_certificate(home: Path) -> None:
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    _run(home, "openssl", *request, *names, "-keyout", str(home / "tls.key"), "-out", str(home / "tls.pem"))


def _make_user(home: Path, user: str) -> tuple[str, str]:
    made = _run(home, "radosgw-admin", "user", "create", "--uid", user, "--display-name", user)
    # Warnings may stand before the document.
    key = json.loads(made[made.index("{") :])["keys"][0]
    return key["access_key"], key["secret_key"]


def _run(home: Path, program: str, *arguments: str) -> str:
    configured = ["-c", str(home / "ceph.conf")] if program not in ("openssl", "monmaptool", "ceph-authtool") else []
    done = subprocess.run(
        [program, *configured, *arguments],
        cwd=home,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    if done.returncode != 0:
        _explain(home, f"{program} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _spawn(home: Path, processes: ExitStack, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    # The signal reaches the daemon when this process dies, however it dies: none is left behind.
    argv = ["setpriv", "--pdeathsig", "KILL", program, "-c", str(home / "ceph.conf"), *arguments]
    with (home / f"{program}.out").open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=home, env=_environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    processes.callback(_stop, process)
    return process


def _wait(home: Path, gateway: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and gateway.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.02)
    _explain(home, "the gateway does not answer")


def _explain(home: Path, what: str) -> None:
    said = "".join(file.read_text(errors="replace")[-2000:] for file in (*home.glob("*.out"), *home.glob("*.log")))
    if "Address already in use" in said or "unable to bind" in said:
        raise _PortTakenError
    raise RgwUnavailableError(f"Ceph did not start: {what}\n{said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    # Nothing it holds outlives the tests.
    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE)


def _free_ports(count: int) -> Sequence[int]:
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _environment() -> dict[str, str]:
    # Nothing of CEPH_ARGS and the like, which a developer may have set for a cluster of theirs.
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": os.devnull}
