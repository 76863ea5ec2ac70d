"""The database goes away at the worst moment: nothing is lost, nothing is written twice, and nobody is told otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.audit import AuditError, AuditLog
from tests.integration.audit_logs import Place, events

Commit = Callable[[sa.Connection], None]


@pytest.fixture
def log(postgres_database: str, tmp_path: Path) -> Iterator[AuditLog]:
    with Place(postgres_database, tmp_path / "audit.pem").open() as opened:
        opened.append_many(events(3))
        yield opened


def at_next_commits(log: AuditLog, server: str, act: Commit, times: int) -> None:
    """Lets ``act`` and then the end of the connection happen where the next commits would be sent."""
    engine = sa.create_engine(server)
    left = [None] * times

    def commit(connection: sa.Connection) -> None:
        if not left or not connection.get_execution_options().get("maestro_audit_writes"):
            return
        left.pop()
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        act(connection)
        # So that there is something to commit, and the driver asks the server.
        connection.exec_driver_sql("SELECT 1")
        with engine.connect() as other:
            other.execute(sa.text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
        engine.dispose()

    sa.event.listen(log.database.engine, "commit", commit)


def test_entries_lost_with_the_connection_are_written_again(log: AuditLog, postgres_url: str) -> None:
    at_next_commits(log, postgres_url, lambda _connection: None, 1)
    assert [entry.index for entry in log.append_many(events(2))] == [3, 4]
    assert [entry.index for entry in log.entries()] == [0, 1, 2, 3, 4]
    assert log.verify().ok


def test_entries_that_were_committed_before_the_connection_broke_are_not_written_again(
    log: AuditLog, postgres_url: str
) -> None:
    at_next_commits(log, postgres_url, lambda connection: connection.connection.commit(), 1)
    assert [entry.index for entry in log.append_many(events(2))] == [3, 4]
    assert [entry.index for entry in log.entries()] == [0, 1, 2, 3, 4]
    assert log.verify().ok


def test_a_server_that_goes_away_again_and_again_is_an_error_and_nothing_was_written(
    log: AuditLog, postgres_url: str
) -> None:
    at_next_commits(log, postgres_url, lambda _connection: None, 100)
    with pytest.raises(AuditError, match=r"the audit database postgresql://maestro:\*\*\*@.* refuses"):
        log.append_many(events(2))
    assert log.size == 3
    assert log.verify().ok


def test_a_server_that_is_gone_for_good_leaves_the_caller_with_the_truth(log: AuditLog, postgres_url: str) -> None:
    def drop(connection: sa.Connection) -> None:
        connection.connection.commit()
        engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as other:
            name = connection.engine.url.database
            other.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        engine.dispose()

    at_next_commits(log, postgres_url, drop, 1)
    with pytest.raises(AuditError, match="went away while 2 entries were written; they may be in it or not"):
        log.append_many(events(2))
