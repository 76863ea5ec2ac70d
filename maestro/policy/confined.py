"""Rego in a warm child process: stopped in the midst of an evaluation, and alone when it crashes or eats memory."""

from __future__ import annotations

import json
import os
import selectors
import struct
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Any

from maestro.policy.engine import TIMEOUT, overdue
from maestro.policy.errors import PolicyEngineError
from maestro.policy.in_process import regorus_version

if TYPE_CHECKING:
    from maestro.policy.bundle import Bundle

MEMORY_BYTES = 2 * 1024**3
_START_SECONDS = 30.0
_LENGTH = struct.Struct("!I")
_MAX_ANSWER = 64 * 1024 * 1024


class ConfinedEngine:
    """regorus in a child that lives as long as this engine, one evaluation at a time; a new child after a failure.

    Args:
        timeout: seconds; then the child is killed, and so does the kernel if this process is gone.
        memory: bytes of address space the child may have.
    """

    def __init__(self, bundle: Bundle, *, timeout: float = TIMEOUT, memory: int = MEMORY_BYTES) -> None:
        self.bundle = bundle
        self._timeout = timeout
        self._memory = memory
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """``regorus <version> (confined)``."""
        return f"regorus {regorus_version()} (confined)"

    def evaluate(self, policy: str, input_json: str) -> Any:
        """See :class:`maestro.policy.engine.PolicyEngine`."""
        with self._lock:
            try:
                child = self._child or self._start()
                answer = self._ask(child, {"policy": policy, "input": input_json}, self._timeout)
            except BaseException:
                self._kill()
                raise
        if "error" in answer:
            raise PolicyEngineError(answer["error"], next_step=answer.get("next"))
        return answer["value"]

    def close(self) -> None:
        """Ends the child."""
        with self._lock:
            self._kill()

    def __del__(self) -> None:
        self._kill()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM.format(path=sys.path), str(self._memory), str(self._timeout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        policies = {name: data.decode() for name, data in self.bundle.files.items() if name.endswith(".rego")}
        self._ask(self._child, {"policies": policies, "data": json.dumps(dict(self.bundle.data))}, _START_SECONDS)
        return self._child

    def _ask(self, child: subprocess.Popen[bytes], question: dict[str, Any], seconds: float) -> dict[str, Any]:
        assert child.stdin is not None
        assert child.stdout is not None
        deadline = time.monotonic() + seconds
        data = json.dumps(question).encode()
        try:
            child.stdin.write(_LENGTH.pack(len(data)) + data)
            child.stdin.flush()
            (length,) = _LENGTH.unpack(_read(child.stdout, _LENGTH.size, deadline, seconds))
            if length > _MAX_ANSWER:
                raise PolicyEngineError(f"the answer has {length:,} bytes", next_step="let the policy say less")
            answer: dict[str, Any] = json.loads(_read(child.stdout, length, deadline, seconds))
        except (BrokenPipeError, EOFError):
            child.kill()
            code = child.wait()
            if -code == _SIGALRM:
                raise overdue(seconds) from None
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise PolicyEngineError(
                f"the engine has ended ({how}): the policy made it crash or needed too much memory",
                next_step="simplify the policy",
            ) from None
        return answer

    def _kill(self) -> None:
        child, self._child = getattr(self, "_child", None), None
        if child is None:
            return
        child.kill()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # What was not written yet is for nobody.
        child.wait()


_SIGALRM = 14
_PROGRAM = "import sys; sys.path[:] = {path!r}; from maestro.policy.confined_child import main; main()"


def _read(stream: IO[bytes], length: int, deadline: float, seconds: float) -> bytes:
    found = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while len(found) < length:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise overdue(seconds)
            part = os.read(stream.fileno(), length - len(found))
            if not part:
                raise EOFError
            found += part
    return bytes(found)
