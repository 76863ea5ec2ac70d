"""Tells the audit logs apart that decisions of one ledger are in: each profile of a project may name one of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from maestro.audit import tables

if TYPE_CHECKING:
    from maestro.audit.log import AuditLog


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """One audit log.

    Args:
        id: stays the same when its database is moved, or is reached in another way.
        name: its origin, and where it was; for people, without a password.
    """

    id: str
    name: str


def identity_of(log: AuditLog) -> LogIdentity:
    """Which log this is.

    Raises:
        AuditError: its database does not answer.
    """
    with log.database.reading() as connection:
        key, created = connection.execute(sa.select(tables.LOG.c.key, tables.LOG.c.created)).one()
    # Origin and key are not enough: profiles share both, and differ in their databases.
    id = hashlib.sha256(f"{key}\n{created}".encode()).hexdigest()[:32]
    # Drivers take a password behind the question mark too.
    where = str(log.database.file or log.database.shown.partition("?")[0])
    return LogIdentity(id, f"{key.partition('+')[0]} in {where}")
