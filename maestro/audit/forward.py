"""Forwards the log to a SIEM, at least once: a cursor in the database moves only when the receiver has the entries."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

from maestro.audit import reader
from maestro.audit.cursors import advance
from maestro.audit.errors import ForwardError
from maestro.audit.event import Entry
from maestro.audit.log import AuditLog
from maestro.audit.receiver import Receiver

BATCH = 500
"""Entries of one delivery at most."""

BATCH_BYTES = 4 << 20
"""Bytes of data of one delivery at most, apart from a single entry that is larger."""


def forward(log: AuditLog, receiver: Receiver, name: str) -> int:
    """Sends what ``name`` does not have yet, up to the log's end as it is now; how many entries that were.

    After a failure the next call goes on where this one stopped; entries of the batch that failed may come twice.

    Args:
        name: of the cursor; one for each receiver.

    Raises:
        ForwardError: the receiver did not take a batch; those before it are done.
        AuditTamperedError: a row cannot be read; nothing after it is sent.
    """
    start = reader.cursor(log.database, _cursor(name))
    sent = 0
    for batch in _batches(log.entries(start, log.size)):
        receiver.send(batch, log.origin)
        advance(log.database, _cursor(name), batch[-1].index + 1)
        sent += len(batch)
    return sent


def follow(
    log: AuditLog,
    receiver: Receiver,
    name: str,
    stop: threading.Event,
    *,
    every: float = 2.0,
    failed: Callable[[ForwardError], object] = lambda _error: None,
) -> None:
    """Forwards until ``stop`` is set; a receiver that is away is tried again, however long it takes.

    Args:
        every: seconds between looks at the log; after a failure up to a minute.
        failed: is told of each failure.
    """
    pause = every
    while not stop.is_set():
        try:
            forward(log, receiver, name)
            pause = every
        except ForwardError as error:
            failed(error)
            pause = min(pause * 2, 60.0)
        stop.wait(pause)


def position(log: AuditLog, name: str) -> int:
    """Index of the next entry ``name`` is sent."""
    return reader.cursor(log.database, _cursor(name))


def _cursor(name: str) -> str:
    return f"forward:{name}"


def _batches(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        length = len(json.dumps(dict(entry.data)))
        if batch and (len(batch) == BATCH or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += length
    if batch:
        yield batch
