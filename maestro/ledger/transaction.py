"""Carries out operations of several callers in one transaction; one that is refused leaves the others alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from maestro.errors import MaestroError
from maestro.ledger.applying import again, apply, cells
from maestro.ledger.books import Books, Change
from maestro.ledger.errors import CompanionError
from maestro.ledger.model import Crossing
from maestro.ledger.operations import Companion, Operation, Reserve, SetLimit, Spend
from maestro.ledger.rows import CrossingKey, Rows, crossing_key


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an operation: its result, or the error its caller gets."""

    result: object = None
    error: Exception | None = None


def carry_out(
    connection: sa.Connection, operations: Sequence[Operation], known: set[CrossingKey]
) -> tuple[list[Outcome], set[CrossingKey]]:
    """Carries the operations out, in their order, within the transaction of ``connection``.

    Args:
        known: crossings that are certainly in the database already.

    Returns:
        An outcome for each, true once the transaction is committed, and the crossings that are known then.

    Raises:
        SQLAlchemyError: the database failed; nothing was done.
        CompanionError: what was to be written with the only operation cannot be; the transaction must be rolled back.
    """
    with Rows(connection) as rows:
        books = _open(rows, operations)
        wanted = set().union(*(cells(books, operation) for operation in operations))
        if wanted:
            books.locked = wanted
            books.sums = rows.sums(wanted)
            books.limits = rows.limits(wanted)
        done: list[tuple[Operation, Change | None, tuple[Crossing, ...], Exception | None]] = []
        for operation in operations:
            try:
                change = apply(books, operation)
                if change is not None:
                    # Without others in the transaction there is nothing a savepoint would save.
                    rows.write(getattr(operation, "also", ()), alone=len(operations) == 1)
            except MaestroError as error:
                if isinstance(error, CompanionError) and len(operations) == 1:
                    raise
                done.append((operation, None, (), error))
                continue
            done.append((operation, change, books.accept(change) if change is not None else (), None))
        rows.keep(books)
        crossed = [one for _, _, some, _ in done for one in some if crossing_key(one) not in known]
        first = rows.keep_crossings(crossed) if crossed else set()
    outcomes: list[Outcome] = []
    for operation, change, some, refused in done:
        if refused is not None:
            outcomes.append(Outcome(error=refused))
        elif change is None:
            outcomes.append(Outcome(again(books, operation)))
        else:
            new = tuple(one for one in some if crossing_key(one) in first)
            first -= {crossing_key(one) for one in new}
            outcomes.append(Outcome(change.finish(new)))
    return outcomes, {crossing_key(one) for one in crossed}


def write(connection: sa.Connection, companions: Sequence[Companion]) -> None:
    """Writes what others keep beside the ledger, within the transaction of ``connection``, without an operation.

    Raises:
        SQLAlchemyError: they cannot be written; the transaction must be rolled back.
    """
    with Rows(connection) as rows:
        try:
            rows.write(companions)
        except CompanionError as error:
            raise error.error from error


def _open(rows: Rows, operations: Sequence[Operation]) -> Books:
    fresh = {one.id for one in operations if isinstance(one, Reserve | Spend)}
    # Asked first: what is removed meanwhile was charged long before.
    now, charged = rows.opening(sorted(fresh))
    ids = {operation.id for operation in operations if not isinstance(operation, SetLimit)}
    entries = rows.entries(ids)
    gone = ids - entries.keys() - (fresh - charged)
    return Books(now, {**entries, **rows.removed(gone)} if gone else entries)
