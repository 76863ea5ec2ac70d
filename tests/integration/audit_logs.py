"""Audit logs to test with, on both databases, and a hand that changes what may not be changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from maestro.audit import AuditEvent, AuditLog, VerifierKey

ORIGIN = "maestro.example/audit/shop"


@dataclass(frozen=True)
class Place:
    """Where a log is.

    Args:
        url: of its database.
    """

    url: str
    key_file: Path

    def open(self, **settings: Any) -> AuditLog:
        return AuditLog.open(self.url, origin=ORIGIN, key_file=self.key_file, **settings)

    @property
    def key(self) -> VerifierKey:
        return VerifierKey.parse(self.key_file.with_name(f"{self.key_file.name}.pub").read_text())


def events(count: int, first: int = 0) -> list[AuditEvent]:
    return [
        AuditEvent("policy.decision", f"user-{number % 3}", f"sha256:{number}", {"number": number})
        for number in range(first, first + count)
    ]


class Intruder:
    """Somebody with all rights on the database, and without the private key."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)

    @contextmanager
    def inside(self) -> Iterator[sa.Connection]:
        """A transaction with the triggers put out of the way, and back in place afterwards."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
                yield connection
                return
            triggers = connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
            for name, _ in triggers:
                connection.execute(sa.text(f"DROP TRIGGER {name}"))
            yield connection
            for _, statement in triggers:
                connection.exec_driver_sql(statement)

    def run(self, *statements: str) -> None:
        with self.inside() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def plainly(self, statement: str) -> None:
        """Carries a statement out without putting triggers out of the way."""
        with self._engine.begin() as connection:
            connection.execute(sa.text(statement))

    def rows(self, query: str) -> Sequence[Any]:
        with self._engine.begin() as connection:
            return connection.execute(sa.text(query)).all()

    def close(self) -> None:
        self._engine.dispose()
