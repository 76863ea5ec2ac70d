"""Machines for tests of a cluster: each has a name, an address and processes of its own, and sees no other's files.

A machine is a network namespace, with one way out: to the ports of this machine that it is given. Needs root, as in CI.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_numbers = itertools.count(1)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


@dataclass
class Machine:
    """A machine that is up.

    Args:
        gateway: address at which it reaches the ports it was given.
        hidden: folders it sees as empty.
    """

    name: str
    namespace: str
    link: str
    gateway: str
    hidden: Sequence[Path]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """A program on this machine."""
        hide = [f"mount -t tmpfs none {shlex.quote(str(folder))}" for folder in self.hidden]
        script = " && ".join([f"hostname {self.name}", *hide, f"exec {shlex.join(arguments)}"])
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "--mount", "sh", "-c", script],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on it."""
        found = []
        for pid in _ip("netns", "pids", self.namespace).split():
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(pid)))
        return found

    def lose_power(self) -> None:
        """Everything on it ends at once, without a word."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        for started in self.started:
            started.wait(30)

    def ask_to_stop(self) -> None:
        """As its service manager does: SIGTERM for what was started on it."""
        for process in self.started:
            process.terminate()

    def cut_off(self) -> None:
        """It runs on, and reaches nothing."""
        _ip("link", "set", self.link, "down")


@contextmanager
def machine(name: str, ports: Sequence[int], hidden: Sequence[Path] = ()) -> Iterator[Machine]:
    """A machine called ``name`` that reaches ``ports`` of this one; gone after the block with all that runs on it."""
    number = os.getpid() % 100, next(_numbers)
    namespace = f"maestro-{os.getpid()}-{number[1]}"
    link = f"mt{os.getpid() % 100000}n{number[1]}"
    gateway, address = (f"10.{200 + number[1] % 50}.{number[0]}.{last}" for last in (1, 2))
    _ip("netns", "add", namespace)
    try:
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("addr", "add", f"{gateway}/30", "dev", link)
        _ip("link", "set", link, "up")
        _ip("-n", namespace, "addr", "add", f"{address}/30", "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", namespace, "link", "set", device, "up")
        made = Machine(name, namespace, link, gateway, hidden)
        with contextlib.ExitStack() as stack:
            for port in ports:
                stack.enter_context(_relay(gateway, port))
            try:
                yield made
            finally:
                made.lose_power()
    finally:
        _ip("netns", "delete", namespace)
        subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)


_RELAY = """
import selectors, socket, sys, threading
address, port = sys.argv[1], int(sys.argv[2])
listener = socket.create_server((address, port), backlog=64)
print("listening", flush=True)
def serve(near):
    far = socket.create_connection(("127.0.0.1", port))
    with near, far, selectors.DefaultSelector() as ready:
        ready.register(near, selectors.EVENT_READ, far)
        ready.register(far, selectors.EVENT_READ, near)
        while True:
            for key, _ in ready.select():
                data = key.fileobj.recv(65536)
                if not data:
                    return
                key.data.sendall(data)
def guarded(near):
    try:
        serve(near)
    except OSError:
        pass
while True:
    connection, _ = listener.accept()
    threading.Thread(target=guarded, args=(connection,), daemon=True).start()
"""


@contextmanager
def _relay(address: str, port: int) -> Iterator[None]:
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", sys.executable, "-c", _RELAY, address, str(port)], stdout=subprocess.PIPE
    ) as relay:
        assert relay.stdout is not None
        assert relay.stdout.readline() == b"listening\n"
        try:
            yield
        finally:
            relay.kill()
