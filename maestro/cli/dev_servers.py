"""Dagster's code server, web server and daemon as one: started together, stopped together, none left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.cli.options import GlobalOptions
from maestro.cli.prepare import Opened, open_project
from maestro.cli.terminal import Terminal
from maestro.errors import InputError, MaestroError

_START_SECONDS = 120.0
_STOP_SECONDS = 3.0
_POLL_SECONDS = 0.1
_TRIED_PORTS = 100
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Server:
    """One process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


def serve(options: GlobalOptions, host: str, port: int, *, open_browser: bool) -> int:
    """Serves until Ctrl-C; the exit code.

    Raises:
        InputError: the port is taken.
        MaestroError: a server does not start, or ends by itself.
    """
    opened = open_project(options)
    _check_port(host, port)
    home = _prepare_instance(opened)
    environment = _environment(options, opened, home)
    terminal = Terminal(options)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopping.set())
    terminal.line(f"starting Dagster for {opened.name}; Ctrl-C ends it")
    terminal.stream.flush()
    servers: list[Server] = []
    try:
        workspace = home / "workspace.yaml"
        where = home / "code-server.sock"
        where.unlink(missing_ok=True)
        code = ["-m", "dagster", "code-server", "start", "-m", "maestro_defs.definitions", "--location-name", "maestro"]
        socket_file = _socket_path(where)
        servers.append(_start("code server", [*code, "--socket", str(socket_file)], environment, home))
        workspace.write_text(
            f"load_from:\n  - grpc_server:\n      socket: {socket_file}\n      location_name: maestro\n", "utf-8"
        )
        if not _until(lambda: socket_file.exists(), servers, stopping):
            return 0
        arguments = ["-w", str(workspace)]
        web = ["-m", "dagster_webserver", "-h", host, "-p", str(port), *arguments]
        servers.append(_start("web server", web, environment, home))
        servers.append(_start("daemon", ["-m", "dagster._daemon", "run", *arguments], environment, home))
        address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
        if not _until(lambda: _answers(address), servers, stopping):
            return 0
        terminal.line(f"Dagster is at {address}")
        terminal.line(terminal.paint(f"logs: {home / 'logs'}", "dim"))
        terminal.stream.flush()
        if open_browser:
            import webbrowser

            webbrowser.open(address)
        _until(lambda: False, servers, stopping, forever=True)
        terminal.line("stopping")
        terminal.stream.flush()
        return 0
    finally:
        _stop(servers)


def _prepare_instance(opened: Opened) -> Path:
    """``DAGSTER_HOME``, with the revision checked out, and its commit, among the partitions."""
    from maestro_defs.instance import dagster_home, open_instance
    from maestro_defs.partitions import register_revision

    home = dagster_home(opened.project, opened.profile)
    revision = opened.current_revision()
    with open_instance(opened.project, opened.profile) as instance:
        for one in dict.fromkeys([revision.head, revision.id]):
            if one is not None:
                register_revision(instance, opened.name, one)
    return home


def _environment(options: GlobalOptions, opened: Opened, home: Path) -> Mapping[str, str]:
    environment = {**os.environ, "DAGSTER_HOME": str(home), "MAESTRO_PROJECT": str(opened.project.root)}
    environment["MAESTRO_PROFILE"] = str(opened.profile.folder)
    environment["MAESTRO_HOME"] = str(opened.project.home)
    if options.file:
        environment["MAESTRO_FILE"] = str(opened.project.workflow_file)
    # Dagster asks for news of itself otherwise.
    environment.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _socket_path(wanted: Path) -> Path:
    # A socket's path may have 107 bytes; a deep folder needs a shorter one elsewhere.
    if len(os.fsencode(wanted)) <= 107:
        return wanted
    import tempfile

    return Path(tempfile.mkdtemp(prefix="maestro-")) / "code.sock"


def _start(name: str, arguments: Sequence[str], environment: Mapping[str, str], home: Path) -> Server:
    log = home / "logs" / f"{name.replace(' ', '-')}.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=environment["MAESTRO_PROJECT"],
            # A group of its own: Ctrl-C reaches Maestro alone, which then stops each group, grandchildren included.
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    return Server(name, process, log)


def _die_with_parent() -> None:
    """Asks Linux to end this process when Maestro is killed without a chance to stop it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _until(
    done: Callable[[], bool], servers: Sequence[Server], stopping: threading.Event, *, forever: bool = False
) -> bool:
    """Waits for ``done``; False when Ctrl-C came first.

    Raises:
        MaestroError: a server ended, or it takes too long.
    """
    deadline = time.monotonic() + _START_SECONDS
    while not stopping.is_set():
        if done():
            return True
        for server in servers:
            if server.process.poll() is not None:
                ended = f"ended with exit code {server.process.returncode}: {_last_line(server.log)}"
                raise MaestroError(
                    f"Dagster's {server.name} {ended}",
                    next_step=f"read {server.log}",
                )
        if not forever and time.monotonic() > deadline:
            raise MaestroError(
                f"Dagster does not answer after {_START_SECONDS:g} s", next_step=f"read {servers[-1].log}"
            )
        stopping.wait(_POLL_SECONDS)
    return False


def _answers(address: str) -> bool:
    import urllib.error
    import urllib.request

    try:
        # The machine's own proxy has nothing to do with it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{address}/server_info", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _stop(servers: Sequence[Server]) -> None:
    for server in servers:
        _signal(server, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    for server in servers:
        try:
            server.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue  # Its whole group is killed below.
    for server in servers:
        _signal(server, signal.SIGKILL)
        server.process.wait()


def _signal(server: Server, number: signal.Signals) -> None:
    try:
        os.killpg(server.process.pid, number)
    except ProcessLookupError:
        return


def _check_port(host: str, port: int) -> None:
    if _is_free(host, port):
        return
    free = next((one for one in range(port + 1, min(65536, port + _TRIED_PORTS)) if _is_free(host, one)), None)
    advice = f"maestro dev --port {free}" if free else "name another with --port"
    raise InputError(f"port {port} of {host} is taken or not allowed", next_step=advice)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
