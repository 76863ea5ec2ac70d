"""Recomputes the log and names every row that is not as it was written.

Three things are compared: the rows, the stored hashes, and what was signed. Memory: about 100 bytes a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from maestro.audit import reader, tables
from maestro.audit.alignment import align, leaf_of
from maestro.audit.anchors import Anchors, gather
from maestro.audit.authentic import Hash, Tree, authenticate, stored
from maestro.audit.database import Database
from maestro.audit.event import Row
from maestro.audit.merkle import EMPTY_ROOT, Range
from maestro.audit.note import VerifierKey
from maestro.audit.report import AuditReport, Finding, rows_named

MOST_EXTRA = 10_000
"""Rows behind the end that are looked at."""


def verify(database: Database, key: VerifierKey, published: Sequence[str] = ()) -> AuditReport:
    """Verifies the whole log; entries appended meanwhile are left for the next time.

    Raises:
        AuditError: the database does not answer.
    """
    anchors = gather(database, key, published)
    size = anchors.size
    leaves = _row_leaves(database, size)
    rows = Tree(leaves)
    extra = _extra_rows(database, size)
    findings = list(anchors.findings)
    genuine: list[Hash] = list(leaves)
    sound = all(rows.root(0, one.size) == one.root for one in anchors.checkpoints)
    if not sound or extra:
        findings += _changes(database, anchors, rows, genuine, extra)
    findings += _damaged_hashes(database, rows if sound else Tree(genuine))
    root = rows.root(0, size) if size else EMPTY_ROOT
    return AuditReport(key.name, size, root, len(anchors.checkpoints), findings, anchors.warnings)


def _row_leaves(database: Database, size: int) -> list[Hash]:
    leaves: list[Hash] = [None] * size
    for index, row in reader.rows(database, 0, size):
        leaves[index] = leaf_of(row, index)
    return leaves


def _changes(
    database: Database, anchors: Anchors, rows: Tree, genuine: list[Hash], extra: dict[int, Row]
) -> list[Finding]:
    """Findings about rows; puts the hash each row must have into ``genuine``, None where nobody knows."""
    size = anchors.size
    kept: list[Hash] = [None] * size
    for index, value in reader.level(database, 0):
        if 0 <= index < size:
            kept[index] = value
    nodes = {
        (level, index): value for level in range(1, size.bit_length()) for index, value in reader.level(database, level)
    }
    nodes |= anchors.frontier
    others = [Tree(kept).root, stored(nodes)]
    findings: list[Finding] = []
    expected: dict[int, bytes] = {}
    vouched = 0
    for checkpoint in anchors.checkpoints:
        truth = authenticate(checkpoint.size, checkpoint.root, rows.root, others)
        expected.update(truth.leaves)
        for start, end in _beyond(truth.unknown, vouched):
            findings.append(_rewritten(start, end, checkpoint.size))
            # The stored leaves are no proof here, but tell which rows were edited without them.
            expected.update(
                {
                    index: one
                    for index in range(start, end)
                    if (one := kept[index]) is not None and one != genuine[index]
                }
            )
            genuine[start:end] = [None] * (end - start)
        vouched = checkpoint.size
    for index, value in expected.items():
        genuine[index] = value
    misfits, absent = dict(extra), set(range(size))
    for index, row in reader.rows(database, 0, size):
        absent.discard(index)
        if index in expected:
            misfits[index] = row
    return [*findings, *align(size, misfits, expected, sorted(absent))]


def _beyond(unknown: Sequence[Range], vouched: int) -> list[Range]:
    """Parts of the ranges that an earlier checkpoint has not spoken of."""
    return [(max(start, vouched), end) for start, end in sorted(unknown) if end > vouched]


def _rewritten(start: int, end: int, size: int) -> Finding:
    named = rows_named(start, end - 1)
    return Finding(
        "rewritten",
        start,
        end - 1,
        f"among {named} there are changes made together with their hashes: at {size} entries something else was signed",
    )


def _damaged_hashes(database: Database, tree: Tree) -> list[Finding]:
    """Stored hashes that are not those of the genuine rows; proofs made from them would not hold."""
    findings: list[Finding] = []
    for level, hashes in enumerate(tree.levels):
        missing = {index for index, one in enumerate(hashes) if one is not None}
        wrong: set[int] = set()
        for index, value in reader.level(database, level):
            if index in missing:
                missing.discard(index)
                if hashes[index] != value:
                    wrong.add(index)
        for index in sorted(missing | wrong):
            first, last = index << level, ((index + 1) << level) - 1
            word = "gone" if index in missing else "damaged"
            findings.append(Finding("hash", first, last, f"the stored hash over {rows_named(first, last)} is {word}"))
    return findings


def _extra_rows(database: Database, size: int) -> dict[int, Row]:
    """Rows that are in no part of the log: before its start, or behind its end as it is at this moment."""
    entry, head = tables.ENTRIES.c, tables.HEAD.c
    now = sa.func.coalesce(sa.select(sa.func.max(head.size)).scalar_subquery(), size)
    query = (
        sa.select(entry.idx, entry.at, entry.actor, entry.kind, entry.object, entry.data)
        .where(sa.or_(entry.idx < 0, sa.and_(entry.idx >= size, entry.idx >= now)))
        .order_by(entry.idx)
        .limit(MOST_EXTRA)
    )
    with database.reading() as connection:
        return {index: Row(*texts) for index, *texts in connection.execute(query)}
