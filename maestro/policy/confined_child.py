"""The child of :mod:`maestro.policy.confined`: questions on standard input, answers on standard output.

Each is a length (four bytes, big endian) and JSON. The kernel ends it by SIGALRM when an evaluation takes twice its
time: the parent usually does so before, unless it is gone.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
from typing import Any

from maestro.policy.errors import PolicyEngineError
from maestro.policy.in_process import evaluate, make_engine

_LENGTH = struct.Struct("!I")


def main() -> None:
    """Serves until standard input ends."""
    memory, timeout = int(sys.argv[1]), float(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A terminal's Ctrl-C is for the parent, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    engine: Any = None
    while (question := _read()) is not None:
        if "policies" in question:
            engine = make_engine(question["policies"], question["data"])
            _write({"value": None})
            continue
        signal.setitimer(signal.ITIMER_REAL, 2 * timeout)
        try:
            answer: dict[str, Any] = {"value": evaluate(engine, question["policy"], question["input"])}
        except PolicyEngineError as error:
            answer = {"error": error.what, "next": error.next_step}
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write(answer)


def _read() -> dict[str, Any] | None:
    head = sys.stdin.buffer.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    question: dict[str, Any] = json.loads(sys.stdin.buffer.read(_LENGTH.unpack(head)[0]))
    return question


def _write(answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode()
    sys.stdout.buffer.write(_LENGTH.pack(len(data)) + data)
    sys.stdout.buffer.flush()
