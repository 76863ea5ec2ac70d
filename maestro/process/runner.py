"""Runs processes of steps for one run worker: cheap to start, stopped as whole trees, never outliving the worker."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from maestro.errors import InputError, MaestroError
from maestro.process.connection import encode_request, sweep
from maestro.process.result import ProcessResult
from maestro.process.shared import SharedGuard, prepared_guard, shared_guard
from maestro.process.stopping import StopEvent

TOKEN_VARIABLE = "MAESTRO_STEP_TOKEN"
STOP_LATENCY_SECONDS = 0.1


@dataclass(eq=False)
class _Run:
    """A process that runs: the socket to its warden, and whether everything is being terminated."""

    control: socket.socket
    token: str
    buffer: bytes = b""
    timed_out: bool = False
    stopped: bool = False
    requested: bool = False
    pending_stop: float | None = None
    sending: threading.Lock = field(default_factory=threading.Lock)

    def request(self, data: bytes) -> None:
        """Send the request; a stop asked for meanwhile follows it."""
        with self.sending:
            self.control.sendall(data)
            self.requested = True
        if self.pending_stop is not None:
            self.stop(self.pending_stop)

    def stop(self, grace: float) -> None:
        with self.sending:
            if not self.requested:
                self.pending_stop = grace
                return
            with contextlib.suppress(OSError):  # it has just ended
                self.control.sendall(json.dumps({"stop": grace}).encode() + b"\n")


class ProcessRunner:
    """Runs processes under a guard of its own, or of its worker's; one for each run; thread safe; a context manager.

    The guard is started by the first ``run``, and again by the first one after it was killed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        shared = shared_guard()
        self._own = shared is None
        self._guard = shared or prepared_guard() or SharedGuard()
        self._runs: set[_Run] = set()
        self._closed = False

    def __enter__(self) -> ProcessRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int | Path,
        stderr: int | Path | None = None,
        timeout: float | None = None,
        stop: threading.Event | None = None,
        grace: float = 3.0,
    ) -> ProcessResult:
        """Run ``argv`` to its end in a session of its own and kill what it leaves behind.

        Args:
            argv: the command; the first word is looked up on the PATH of ``env``. What cannot be executed ends with
                127 (not found) or 126, and says why on standard error, as in a shell.
            cwd: the folder it starts in.
            env: its whole environment; nothing is inherited, ``MAESTRO_STEP_TOKEN`` is added.
            stdout: a descriptor, or a file to make or empty.
            stderr: the same; where ``stdout`` goes when None.
            timeout: seconds after which it is stopped.
            stop: stops it when set; at once when it is a ``StopEvent``, else within a tenth of a second.
            grace: seconds between SIGTERM and SIGKILL, both to the whole tree.

        Raises:
            InputError: ``cwd``, a file or the command's text cannot be used.
            MaestroError: the guard was killed; the step was killed with it.
        """
        _check(argv, cwd, env)
        token = secrets.token_hex(16)
        request = encode_request(argv, cwd, {**env, TOKEN_VARIABLE: token})
        started = time.monotonic()
        with _output(stdout, stderr) as (out, err):
            current = self._open(out, err, token)
        try:
            reply = self._converse(current, request, None if timeout is None else started + timeout, stop, grace)
        finally:
            # Closing is also what kills the tree when an exception cuts the wait short.
            current.control.close()
            with self._changed:
                self._runs.discard(current)
                self._changed.notify_all()
        if "error" in reply:
            raise InputError(
                f"a step cannot start in {cwd}: {reply['error']}", next_step="check the step's working directory"
            )
        cut = bool(reply.pop("stopped"))
        return ProcessResult(
            seconds=time.monotonic() - started,
            timed_out=cut and current.timed_out,
            stopped=cut and current.stopped,
            **reply,
        )

    def terminate_all(self, grace: float = 3.0) -> None:
        """Stop everything that runs, at once, and wait for it; ``run`` can be called again afterwards."""
        with self._changed:
            self._terminate(grace)

    def close(self) -> None:
        """Kill what is left and end the guard, unless others use it; ``run`` is refused afterwards."""
        with self._changed:
            self._closed = True
            self._terminate(0.0)
            for stubborn in self._runs:
                # Its warden kills the tree when its worker hangs up.
                with contextlib.suppress(OSError):
                    stubborn.control.shutdown(socket.SHUT_RDWR)
        if self._own:
            self._guard.close()

    @property
    def guard_pid(self) -> int | None:
        """Process id of the guard, when one was started."""
        return self._guard.pid

    def _terminate(self, grace: float) -> None:
        runs = set(self._runs)
        for each in runs:
            each.stopped = True
            each.stop(grace)
        self._changed.wait_for(lambda: not runs & self._runs, timeout=grace + 5)

    def _open(self, stdout: int, stderr: int, token: str) -> _Run:
        with self._changed:
            if self._closed:
                raise MaestroError("the process runner is closed; no more steps can start")
            try:
                current = _Run(self._guard.open(stdout, stderr), token)
            except OSError as error:  # it was killed just now
                raise _guard_lost() from error
            self._runs.add(current)
            return current

    def _converse(
        self,
        current: _Run,
        request: bytes,
        deadline: float | None,
        stop: threading.Event | None,
        grace: float,
    ) -> dict[str, Any]:
        """Send the request, stop the process when it is time, give the final answer."""
        try:
            current.request(request)
            poll = select.poll()
            poll.register(current.control, select.POLLIN)
            told = stop.descriptor if isinstance(stop, StopEvent) else None
            if told is not None:
                poll.register(told, select.POLLIN)
            asked = False
            while True:
                wait: float | None = None
                if not asked:
                    if stop is not None and stop.is_set():
                        current.stopped = asked = True
                    elif deadline is not None and time.monotonic() >= deadline:
                        current.timed_out = asked = True
                    if asked:
                        current.stop(grace)
                        if told is not None:
                            poll.unregister(told)
                    else:
                        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
                        if stop is not None and told is None:
                            wait = min(STOP_LATENCY_SECONDS, STOP_LATENCY_SECONDS if wait is None else wait)
                ready = poll.poll(None if wait is None else wait * 1000)
                if not any(descriptor == current.control.fileno() for descriptor, _ in ready):
                    continue
                data = current.control.recv(65536)
                if not data:
                    raise ConnectionResetError
                current.buffer += data
                while b"\n" in current.buffer:
                    line, _, current.buffer = current.buffer.partition(b"\n")
                    message: dict[str, Any] = json.loads(line)
                    if "pid" not in message:
                        return message
        except OSError as error:
            sweep(f"{TOKEN_VARIABLE}={current.token}")
            raise _guard_lost() from error


def _guard_lost() -> MaestroError:
    return MaestroError(
        "the process guard was killed, and the step's processes with it",
        next_step="look in dmesg for what killed it (out of memory, a limit on processes), then retry the run",
    )


def _check(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
    if not argv or not argv[0]:
        raise InputError("a step has no command to run")
    if any("\0" in word for word in argv):
        raise InputError(f"an argument of '{argv[0]}' holds a NUL character")
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            raise InputError(f"{name!r} cannot be the name of an environment variable")
        if "\0" in value:
            raise InputError(f"the value of environment variable '{name}' holds a NUL character")
    if not cwd.is_dir():
        raise InputError(
            f"a step cannot start in {cwd}: no such folder", next_step="check the step's working directory"
        )


@contextlib.contextmanager
def _output(stdout: int | Path, stderr: int | Path | None) -> Iterator[tuple[int, int]]:
    """Descriptors for both; those opened here are closed again. The same file twice is opened once."""
    with contextlib.ExitStack() as stack:

        def descriptor(target: int | Path) -> int:
            if isinstance(target, int):
                return target
            try:
                opened = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise InputError(f"output cannot be written to {target}: {error.strerror}") from error
            stack.callback(os.close, opened)
            return opened

        out = descriptor(stdout)
        yield out, out if stderr is None or stderr == stdout else descriptor(stderr)
