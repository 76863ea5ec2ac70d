"""Runs a PostgreSQL server of its own for the tests: temporary, on the loopback interface, behind a random password."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

DEADLINE = 60.0
"""Seconds a server may take to start or stop."""

ROLE = "maestro"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    # The data do not outlive the tests, so nothing is gained by their reaching the disk.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
}


class PostgresUnavailableError(Exception):
    """The server cannot be run here; the message names what to install or what the server said."""


def find_binaries(root: Path = Path("/usr/lib/postgresql")) -> Path:
    """The folder with ``initdb`` and ``postgres``, of the newest version below ``root``.

    Raises:
        PostgresUnavailableError: there is none.
    """
    found = [path.parent for path in root.glob("*/bin/initdb") if (path.parent / "postgres").is_file()]
    if not found:
        raise PostgresUnavailableError(
            f"PostgreSQL's server is missing from {root}; install the Debian package postgresql, or run ./scripts/setup"
        )
    return max(found, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.parent.name)])


@contextmanager
def postgres_server() -> Iterator[str]:
    """Starts a server and yields the URL of its database ``postgres``; stops and removes it afterwards.

    Raises:
        PostgresUnavailableError: PostgreSQL is not installed, or does not start.
    """
    binaries = find_binaries()
    # Kept apart from pytest's own folders, which only their owner may pass through.
    home = Path(tempfile.mkdtemp(prefix="maestro-postgres-"))
    try:
        password = secrets.token_urlsafe(24)
        _create(binaries, home, password)
        with _running(binaries, home) as port:
            yield f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def postgres_database(server: str, template: str | None = None) -> Iterator[str]:
    """Makes a database with a random name and yields its URL; drops it even while connections to it are open.

    Args:
        server: URL of any database of the server.
        template: URL of a database nobody is connected to, of which it is a copy; empty without.
    """
    copied = f" TEMPLATE {make_url(template).database}" if template else ""
    name = f"test_{secrets.token_hex(8)}"
    # Asked before it is used: the server may have been started again meanwhile.
    engine = create_engine(server, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}{copied}"))
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            with engine.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


def _create(binaries: Path, home: Path, password: str) -> None:
    password_file = home / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if os.geteuid() == 0:
        owner = _unprivileged()
        for path in (home, password_file):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    argv = [binaries / "initdb", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256"]
    argv += [f"--username={ROLE}", f"--pwfile={password_file}", "--pgdata", home / "data"]
    done = subprocess.run(
        _without_root([str(part) for part in argv]),
        cwd=home,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    password_file.unlink()
    if done.returncode != 0:
        raise PostgresUnavailableError(f"initdb failed:\n{done.stdout}{done.stderr}")


@contextmanager
def _running(binaries: Path, home: Path) -> Iterator[int]:
    for attempt in range(5):
        port = _free_port()
        options = [option for name, value in SETTINGS.items() for option in ("-c", f"{name}={value}")]
        argv = [str(binaries / "postgres"), "-D", str(home / "data"), "-p", str(port), *options]
        with (home / "log").open("w") as log:
            server = subprocess.Popen(
                _without_root(argv), cwd=home, env=_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            if _ready(server, home):
                yield port
                return
        finally:
            _stop(server)
        said = (home / "log").read_text()
        # Another process took the port between our looking and the server's.
        if "could not bind" not in said or attempt == 4:
            raise PostgresUnavailableError(f"PostgreSQL did not start:\n{said}")


def _ready(server: subprocess.Popen[bytes], home: Path) -> bool:
    # The eighth line of postmaster.pid is the server's own word on its state, so no other server can answer for it.
    deadline = time.monotonic() + DEADLINE
    while server.poll() is None and time.monotonic() < deadline:
        try:
            lines = (home / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            lines = []
        if len(lines) >= 8 and lines[7].strip() == "ready":
            return True
        time.sleep(0.02)
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    # Fast shutdown, immediate shutdown, and what nothing withstands.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if server.poll() is not None:
            return
        server.send_signal(number)
        try:
            server.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise PostgresUnavailableError(
            "PostgreSQL refuses to run as root and there is no user postgres; install the Debian package postgresql"
        ) from None


def _without_root(argv: Sequence[str]) -> list[str]:
    # The signal reaches the server when this process dies, however it dies: no server is left behind.
    wrapper = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() == 0:
        owner = _unprivileged()
        wrapper += ["--reuid", str(owner.pw_uid), "--regid", str(owner.pw_gid), "--clear-groups"]
    return [*wrapper, *argv]


def _environment() -> dict[str, str]:
    # Nothing of PGDATA, PGPORT and the like, which a developer may have set for a server of theirs.
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
