"""Dagster's code server, web server and daemon as one: started together, stopped together, none left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from maestro.cli import dagster_program, programs
from maestro.cli.options import GlobalOptions
from maestro.cli.prepare import Opened, open_project
from maestro.cli.programs import Started
from maestro.cli.terminal import Terminal
from maestro.errors import MaestroError

_START_SECONDS = 120.0
_STOP_SECONDS = 1.0
_POLL_SECONDS = 0.1


def serve(options: GlobalOptions, host: str, port: int, *, open_browser: bool) -> int:
    """Serves until Ctrl-C; the exit code.

    Raises:
        InputError: the port is taken.
        MaestroError: a server does not start, or ends by itself.
    """
    opened = open_project(options)
    programs.check_port(host, port, "maestro dev --port {port}", "name another with --port")
    home = _prepare_instance(opened)
    environment = _environment(options, opened, home)
    terminal = Terminal(options)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopping.set())
    terminal.line(f"starting Dagster for {opened.name}; Ctrl-C ends it")
    terminal.stream.flush()
    servers: list[Started] = []
    try:
        workspace = home / "workspace.yaml"
        where = home / "code-server.sock"
        where.unlink(missing_ok=True)
        loads = ("-m", "maestro_defs.definitions", "--location-name", "maestro")
        code = dagster_program.words("dagster", "code-server", "start", *loads)
        socket_file = _socket_path(where)
        servers.append(_start("code server", [*code, "--socket", str(socket_file)], environment, home))
        workspace.write_text(
            f"load_from:\n  - grpc_server:\n      socket: {socket_file}\n      location_name: maestro\n", "utf-8"
        )
        if not _until(lambda: socket_file.exists(), servers, stopping):
            return 0
        arguments = ("-w", str(workspace))
        web = dagster_program.words("dagster_webserver", "-h", host, "-p", str(port), *arguments)
        servers.append(_start("web server", web, environment, home))
        daemon = dagster_program.words("dagster._daemon", "run", *arguments)
        servers.append(_start("daemon", daemon, environment, home))
        address = f"http://{programs.reachable(host)}:{port}"
        if not _until(lambda: programs.answers(f"{address}/server_info"), servers, stopping):
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
        programs.stop(servers, _STOP_SECONDS)


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
    # A deep folder needs a shorter path elsewhere.
    if len(os.fsencode(wanted)) <= programs.LONGEST_SOCKET:
        return wanted
    import tempfile

    return Path(tempfile.mkdtemp(prefix="maestro-")) / "code.sock"


def _start(name: str, arguments: Sequence[str], environment: Mapping[str, str], home: Path) -> Started:
    log = home / "logs" / f"{name.replace(' ', '-')}.log"
    return programs.start(name, arguments, environment=environment, folder=environment["MAESTRO_PROJECT"], log=log)


def _until(
    done: Callable[[], bool], servers: Sequence[Started], stopping: threading.Event, *, forever: bool = False
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
            if server.ended is not None:
                ended = f"ended with exit code {server.ended}: {programs.last_line(server.log)}"
                raise MaestroError(f"Dagster's {server.name} {ended}", next_step=f"read {server.log}")
        if not forever and time.monotonic() > deadline:
            raise MaestroError(
                f"Dagster does not answer after {_START_SECONDS:g} s", next_step=f"read {servers[-1].log}"
            )
        stopping.wait(_POLL_SECONDS)
    return False
