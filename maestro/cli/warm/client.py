"""Hands a command to the warm process and stands for it: signals go to the fork, its exit code is this process's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

_HELLO_SECONDS = 0.3
_READY_SECONDS = 1.0


def carried_out(arguments: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """The exit code of the command, carried out by the warm process; None, and nothing has happened, without one."""
    from maestro.cli.warm.wanted import project_of, wanted

    # A closed standard stream's number would by now be another file's.
    if not wanted(arguments, environ) or None in (sys.stdin, sys.stdout, sys.stderr):
        return None
    from maestro.cli.warm.identity import identity
    from maestro.cli.warm.place import name_of, open_folder, state_folder, within

    state = state_folder(project_of(arguments), environ)
    folder = open_folder(state) if state is not None else None
    if folder is None:
        return None
    mine = identity(environ)
    try:
        path = within(folder, f"{name_of(mine)}.sock")
        return _carried_out(path, mine) if os.path.lexists(path) else None
    finally:
        os.close(folder)


def _carried_out(path: str, identity: Sequence[str]) -> int | None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(_HELLO_SECONDS)
            connection.connect(path)
            if not _is_mine(connection) or _line(connection) is None:
                return None
            connection.settimeout(_READY_SECONDS)
            _hand_over(connection, identity)
            answer = _line(connection)
            if answer is None or "pid" not in answer:
                return None
            fork = os.pidfd_open(int(answer["pid"]))
        except (OSError, ValueError):
            return None
        return _stand_for(connection, fork)


def _is_mine(connection: socket.socket) -> bool:
    import socket
    import struct

    size = struct.calcsize("3i")
    user = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1]
    return bool(user == os.geteuid())


def _hand_over(connection: socket.socket, identity: Sequence[str]) -> None:
    """Raises OSError when a standard stream is closed, or the current folder is gone."""
    import json
    import resource
    import signal
    import socket

    from maestro.cli.warm.identity import LIMITS

    umask = os.umask(0o077)
    os.umask(umask)
    request = {
        "identity": identity,
        "argv": sys.argv,
        "environ": dict(os.environ),
        "umask": umask,
        "limits": [[number, resource.getrlimit(number)[0]] for number in LIMITS],
        "ignored": [
            int(number)
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
            if signal.getsignal(number) == signal.SIG_IGN
        ],
        "streams": [
            [one.encoding, one.errors, getattr(one, "write_through", False)]
            for one in (sys.stdin, sys.stdout, sys.stderr)
        ],
    }
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        socket.send_fds(connection, [b"!"], [0, 1, 2, here])
    finally:
        os.close(here)
    connection.sendall(json.dumps(request).encode() + b"\n")


def _stand_for(connection: socket.socket, fork: int) -> int:
    """Until the fork has ended. From the first byte sent here on it acts; before, it would not have."""
    import signal

    def forward(number: int, _frame: Any) -> None:
        _send(fork, number)

    def stop(_number: int, _frame: Any) -> None:
        _send(fork, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        _send(fork, signal.SIGCONT)

    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, forward)
    signal.signal(signal.SIGTERM, forward)  # Obeyed even where it is ignored, as ever.
    if signal.getsignal(signal.SIGTSTP) != signal.SIG_IGN:
        signal.signal(signal.SIGTSTP, stop)
    try:
        connection.settimeout(None)
        connection.sendall(b"!")
        answer = _line(connection)
    except (OSError, ValueError):
        answer = None
    if answer is None:
        print(
            "error: the warm process, and the command with it, ended without a word\n"
            "  next: look at the run with `maestro status`, then `maestro retry`",
            file=sys.stderr,
        )
        return 1
    if "signal" in answer:
        # Ends as the fork has: whoever waits for this process sees the same.
        number = int(answer["signal"])
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return 128 + number
    return int(answer["code"])


def _send(fork: int, number: int) -> None:
    import signal

    try:
        signal.pidfd_send_signal(fork, number)
    except ProcessLookupError:
        return


def _line(connection: socket.socket) -> dict[str, Any] | None:
    """The next message; None when the other side has hung up."""
    import json

    data = b""
    while not data.endswith(b"\n"):
        part = connection.recv(1)  # What follows the line is the next message.
        if not part:
            return None
        data += part
    message = json.loads(data)
    return message if isinstance(message, dict) else None
