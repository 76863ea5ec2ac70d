"""The audit log: durable rows a second from concurrent callers, and the time of a proof, for ``bench evidence``."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench.report import Figure, at_most
from maestro.audit import AuditEvent, AuditLog

CALLERS = 64


def measure(*, quick: bool) -> list[Figure]:
    """All figures, in SQLite in a temporary folder on the disk ``/tmp`` is on."""
    with _log() as log:
        rows = audit_rows_per_s(log, 2_000 if quick else 10_000)
        single = single_ms(log, 20 if quick else 200)
        proof = proof_ms(log, entries=2_000 if quick else 100_000)
    return [
        Figure(
            "audit_rows_per_s",
            round(rows, 1),
            "rows/s",
            f"single appends of {CALLERS} callers at once, on disk when each returns",
            ">= 1000",
            rows >= 1000,
        ),
        Figure("audit_append_ms", round(single, 3), "ms", "one append of one caller, on disk; median"),
        at_most("proof_ms", proof, 5.0, "ms", "one inclusion proof, made and verified; median"),
    ]


def audit_rows_per_s(log: AuditLog, count: int, callers: int = CALLERS) -> float:
    """Rows a second when so many threads call ``append`` for one row after another; each row is durable."""
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(log.append, [_event(number) for number in range(callers)]))
        began = time.perf_counter()
        list(pool.map(log.append, [_event(number) for number in range(count)]))
        return count / (time.perf_counter() - began)


def single_ms(log: AuditLog, count: int) -> float:
    """Median time in milliseconds of an append while nobody else appends."""
    return 1000 * statistics.median(_timed(lambda number=number: log.append(_event(number))) for number in range(count))


def proof_ms(log: AuditLog, *, entries: int, proofs: int = 200) -> float:
    """Median time in milliseconds to make and verify an inclusion proof in a log of at least so many entries."""
    missing = entries - log.size
    for first in range(0, missing, 5_000):
        log.append_many(_event(number) for number in range(first, min(first + 5_000, missing)))
    step = max(1, log.size // proofs)
    return 1000 * statistics.median(
        _timed(lambda index=index: log.prove(index).verify(log.key)) for index in range(0, log.size, step)
    )


def _timed(action: object) -> float:
    assert callable(action)
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _event(number: int) -> AuditEvent:
    data = {"allow": True, "policy": "supply_chain.release", "input": f"sha256:{number:064x}", "number": number}
    return AuditEvent("policy.decision", "bench", f"sha256:{number:064x}", data)


@contextmanager
def _log() -> Iterator[AuditLog]:
    with tempfile.TemporaryDirectory() as folder:
        url, key_file = f"sqlite:///{folder}/audit.db", Path(folder) / "audit.pem"
        with AuditLog.open(url, origin="maestro.example/audit/bench", key_file=key_file) as log:
            yield log
