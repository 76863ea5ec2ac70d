"""The audit log on both databases: what is appended stays, in order, once, whoever appends at the same time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from maestro.audit import (
    AuditError,
    AuditEvent,
    AuditInputError,
    AuditLog,
    AuditTamperedError,
    NoteError,
    ProofError,
    open_checkpoint,
    read_proof,
)
from maestro.audit.reader import Filter, last_indexes
from maestro.secrets import Masker
from tests.integration.audit_logs import ORIGIN, Intruder, Place, events

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    url = (
        f"sqlite:///{tmp_path / 'audit.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_database")
    )
    return Place(url, tmp_path / "keys" / "audit.pem")


@pytest.fixture
def log(place: Place) -> Iterator[AuditLog]:
    with place.open() as opened:
        yield opened


def numbers(log: AuditLog) -> list[int]:
    return [entry.index for entry in log.entries()]


def test_an_event_is_read_back_as_it_was_handed_in(log: AuditLog) -> None:
    event = AuditEvent("waiver.added", "ann", "CVE-2026-1", {"reason": "ü", "days": 3, "score": 9.8})
    written = log.append(event)
    (read,) = log.entries()
    assert read == written
    assert (read.index, read.kind, read.actor, read.object) == (0, event.kind, event.actor, event.object)
    assert (read.data, read.at) == (event.data, event.at)


def test_indexes_follow_each_other_from_0(log: AuditLog) -> None:
    assert [entry.index for entry in log.append_many(events(5))] == [0, 1, 2, 3, 4]
    assert log.append(events(1)[0]).index == 5
    assert log.append_many([]) == []
    assert (numbers(log), log.size) == ([0, 1, 2, 3, 4, 5], 6)


def test_of_several_events_all_or_none_are_written(log: AuditLog) -> None:
    with pytest.raises(AuditInputError, match="'nonsense' is no kind"):
        log.append_many([*events(2), AuditEvent("nonsense", "ann", "x")])
    assert log.size == 0


def test_entries_are_read_by_range_and_by_what_they_are_about(log: AuditLog) -> None:
    log.append_many([*events(6), AuditEvent("waiver.added", "ann", "x"), AuditEvent("waiver.used", "ann", "y")])
    assert [entry.index for entry in log.entries(2, 4)] == [2, 3]
    assert [entry.index for entry in log.entries(chosen=Filter(kind="waiver."))] == [6, 7]
    assert [entry.index for entry in log.entries(chosen=Filter(kind="waiver.used"))] == [7]
    assert [entry.index for entry in log.entries(chosen=Filter(actor="user-1"))] == [1, 4]
    assert [entry.index for entry in log.entries(chosen=Filter(object="x"))] == [6]
    assert last_indexes(log.database, 2, Filter(kind="policy.decision")) == [4, 5]


def test_more_entries_than_one_read_takes_are_all_read(log: AuditLog) -> None:
    log.append_many(events(4_500))
    assert numbers(log) == list(range(4_500))


def test_secrets_never_reach_the_database(place: Place) -> None:
    with place.open(mask=Masker(["hunter2-secret"]).value) as log:
        entry = log.append(AuditEvent("key.rotated", "ann hunter2-secret", "k", {"old": "hunter2-secret"}))
    intruder = Intruder(place.url)
    assert "hunter2" not in repr(intruder.rows("SELECT * FROM audit_entries"))
    assert entry.data == {"old": "***"}
    intruder.close()


def test_threads_that_append_at_once_lose_and_double_nothing(log: AuditLog) -> None:
    with ThreadPoolExecutor(16) as pool:
        written = list(pool.map(log.append, events(400)))
    assert sorted(entry.index for entry in written) == list(range(400)) == numbers(log)
    assert {entry.index: entry.data for entry in log.entries()} == {entry.index: entry.data for entry in written}
    assert log.verify().ok


def append_in_process(place: Place, writer: int, count: int) -> None:
    with place.open() as log, ThreadPoolExecutor(4) as pool:
        list(pool.map(log.append, [AuditEvent("a.b", f"writer-{writer}", str(number)) for number in range(count)]))


def test_processes_that_open_and_append_at_once_lose_and_double_nothing(place: Place) -> None:
    processes = [SPAWN.Process(target=append_in_process, args=(place, writer, 60)) for writer in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    with place.open() as log:
        found = list(log.entries())
        assert [entry.index for entry in found] == list(range(240))
        assert Counter(entry.actor for entry in found) == {f"writer-{writer}": 60 for writer in range(4)}
        assert len({(entry.actor, entry.object) for entry in found}) == 240
        assert log.verify().ok


def append_until_killed(place: Place, said: multiprocessing.connection.Connection) -> None:  # type: ignore[name-defined]  # a submodule the stubs do not export
    with place.open() as log:
        while True:
            said.send(log.append(events(1)[0]).index)


def test_what_was_acknowledged_survives_the_death_of_the_writer(place: Place) -> None:
    place.open().close()
    reading, writing = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=append_until_killed, args=(place, writing))
    process.start()
    acknowledged = [reading.recv() for _ in range(20)]
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with place.open() as log:
        assert numbers(log)[:20] == acknowledged
        assert log.append(events(1)[0]).index == len(numbers(log)) - 1
        assert log.verify().ok


def append_in_child(log: AuditLog, answers: multiprocessing.queues.Queue[int]) -> None:  # type: ignore[name-defined]  # a submodule the stubs do not export
    answers.put(log.append(events(1)[0]).index)


def test_a_log_that_came_through_a_fork_goes_on_with_connections_of_its_own(log: AuditLog) -> None:
    log.append(events(1)[0])
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    child = fork.Process(target=append_in_child, args=(log, answers))
    child.start()
    assert answers.get(timeout=60) == 1
    child.join()
    assert log.append(events(1)[0]).index == 2
    assert log.verify().ok


def test_every_entry_is_proved_at_every_size(log: AuditLog) -> None:
    for size in range(1, 12):
        log.append(events(1, size)[0])
        for index in range(size):
            proof = read_proof(json.dumps(log.prove(index).to_json()).encode())
            assert proof == log.prove(index)
            assert proof.verify(log.key).size == size  # type: ignore[union-attr]  # both proofs verify, each to its own kind


def test_a_log_begins_with_each_of_its_earlier_checkpoints(log: AuditLog) -> None:
    notes = [log.checkpoint()]
    for size in range(1, 12):
        log.append(events(1, size)[0])
        notes.append(log.checkpoint())
    for old, earlier in enumerate(notes):
        for new, later in enumerate(notes[old:], start=old):
            checked = read_proof(json.dumps(log.consistency(earlier, later).to_json()).encode()).verify(log.key)
            assert [one.size for one in checked] == [old, new]  # type: ignore[union-attr]  # both proofs verify, each to its own kind
    assert log.checkpoints() == notes


def test_the_checkpoint_of_an_unchanged_log_is_kept_once(log: AuditLog) -> None:
    log.append_many(events(3))
    assert log.checkpoint() == log.checkpoint()
    assert len(log.checkpoints()) == 1


def test_an_entry_that_is_not_there_is_not_proved(log: AuditLog) -> None:
    log.append_many(events(3))
    for index in (-1, 3):
        with pytest.raises(AuditInputError, match=f"there is no entry {index}: the audit log has 3"):
            log.prove(index)


def test_a_later_checkpoint_is_not_taken_for_an_earlier_one(log: AuditLog) -> None:
    log.append(events(1)[0])
    first = log.checkpoint()
    log.append(events(1)[0])
    with pytest.raises(AuditInputError, match="the checkpoint at 2 entries is later than the one at 1"):
        log.consistency(log.checkpoint(), first)


def test_a_changed_proof_does_not_verify(log: AuditLog) -> None:
    log.append_many(events(9))
    proof = log.prove(4).to_json()
    for part, value in [
        ("actor", "mallory"),
        ("index", 5),
        ("data", {"number": 5}),
        ("at", "2026-01-01T00:00:00.000000Z"),
    ]:
        changed = {**proof, "entry": {**proof["entry"], part: value}}
        with pytest.raises(ProofError, match="is not in the log as it was signed at size 9"):
            read_proof(json.dumps(changed).encode()).verify(log.key)
    with pytest.raises(ProofError, match="does not have the parts of an audit entry"):
        read_proof(json.dumps({**proof, "entry": {**proof["entry"], "more": 1}}).encode()).verify(log.key)
    with pytest.raises(NoteError, match="was changed after it was signed"):
        changed = {**proof, "checkpoint": proof["checkpoint"].replace("\n9\n", "\n8\n")}
        read_proof(json.dumps(changed).encode()).verify(log.key)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"mediaType":1}', b"[" * 100_000, b" " * 5_000_000])
def test_what_is_no_proof_file_is_refused(content: bytes) -> None:
    with pytest.raises(AuditInputError, match="this is not a proof file"):
        read_proof(content)


def test_checkpoints_go_to_the_sink_and_wait_for_it_while_it_is_away(place: Place) -> None:
    taken: dict[int, str] = {}
    away = True

    def sink(note: str, size: int) -> None:
        if away:
            raise ConnectionError("the vault is closed")
        taken[size] = note

    with place.open(sink=sink) as log:
        log.append_many(events(2))
        with pytest.raises(
            AuditError, match="at 2 entries is kept, but could not be written to the vault: the vault is"
        ):
            log.checkpoint()
        log.append_many(events(2))
        away = False
        log.checkpoint()
        assert sorted(taken) == [2, 4]
        taken.clear()
        log.append(events(1)[0])
        log.checkpoint()
        assert sorted(taken) == [5]
        assert open_checkpoint(taken[5], [log.key]).size == 5


@pytest.mark.parametrize("action", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
@pytest.mark.parametrize(
    ("table", "column"), [("audit_entries", "idx"), ("audit_nodes", "idx"), ("audit_checkpoints", "size")]
)
def test_the_database_itself_refuses_changes(place: Place, log: AuditLog, table: str, column: str, action: str) -> None:
    log.append_many(events(2))
    log.checkpoint()
    intruder = Intruder(place.url)
    with pytest.raises(DBAPIError, match="the audit log is append-only"):
        intruder.plainly(action.format(table, column, column))
    intruder.close()
    assert log.verify().ok


def test_postgresql_refuses_to_empty_a_table(postgres_database: str, tmp_path: Path) -> None:
    with Place(postgres_database, tmp_path / "audit.pem").open() as log:
        log.append(events(1)[0])
        intruder = Intruder(postgres_database)
        with pytest.raises(DBAPIError, match="the audit log is append-only"):
            intruder.plainly("TRUNCATE audit_entries")
        intruder.close()
        assert log.size == 1


def test_commits_reach_the_disk_even_where_the_server_would_not_wait(postgres_database: str, tmp_path: Path) -> None:
    with Place(postgres_database, tmp_path / "audit.pem").open() as log, log.database.writing() as connection:
        # The test server has it off.
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_sqlite_waits_for_the_disk_and_keeps_the_file_to_its_owner(tmp_path: Path) -> None:
    with Place(f"sqlite:///{tmp_path / 'audit.db'}", tmp_path / "audit.pem").open() as log:
        with log.database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert stat.S_IMODE((tmp_path / "audit.db").stat().st_mode) == 0o600


def test_nothing_is_appended_to_a_log_whose_head_was_changed(place: Place, log: AuditLog) -> None:
    log.append_many(events(3))
    intruder = Intruder(place.url)
    intruder.run("UPDATE audit_head SET size = 2")
    with pytest.raises(AuditTamperedError, match="the head of the audit log is not what was signed\n  next: stop what"):
        log.append(events(1)[0])
    intruder.run("DELETE FROM audit_head")
    with pytest.raises(AuditTamperedError, match="the head of the audit log is gone"):
        log.append(events(1)[0])
    intruder.close()


def test_nothing_is_appended_to_a_log_that_became_shorter(place: Place, log: AuditLog) -> None:
    log.append_many(events(2))
    intruder = Intruder(place.url)
    ((size, frontier, note),) = intruder.rows("SELECT size, frontier, note FROM audit_head")
    log.append_many(events(3))
    with intruder.inside() as connection:
        connection.exec_driver_sql("DELETE FROM audit_entries WHERE idx >= 2")
        connection.exec_driver_sql("DELETE FROM audit_nodes WHERE (idx + 1) * (1 << level) > 2")
        query = "UPDATE audit_head SET size = :size, frontier = :frontier, note = :note"
        connection.execute(sa.text(query), {"size": size, "frontier": frontier, "note": note})
    with pytest.raises(AuditTamperedError, match="the audit log had 5 entries and is now another one of 2"):
        log.append(events(1)[0])
    intruder.close()


def test_nothing_is_appended_over_a_row_that_somebody_put_behind_the_end(place: Place, log: AuditLog) -> None:
    log.append_many(events(3))
    intruder = Intruder(place.url)
    intruder.plainly(
        "INSERT INTO audit_entries SELECT 3, at, actor, kind, object, data FROM audit_entries WHERE idx = 0"
    )
    with pytest.raises(AuditTamperedError, match="there are rows behind the end of the audit log, which is at 3"):
        log.append(events(1)[0])
    intruder.close()


def test_a_log_is_opened_again_with_its_own_key_only(place: Place, log: AuditLog, tmp_path: Path) -> None:
    log.append(events(1)[0])
    with pytest.raises(AuditInputError, match="but not its private key"):
        AuditLog.open(place.url, origin=ORIGIN, key_file=tmp_path / "other.pem")
    assert not (tmp_path / "other.pem").exists()
    Place(f"sqlite:///{tmp_path / 'other.db'}", tmp_path / "other.pem").open().close()
    with pytest.raises(AuditInputError, match="is signed by another key"):
        AuditLog.open(place.url, origin=ORIGIN, key_file=tmp_path / "other.pem")
    with pytest.raises(AuditInputError, match=r"this is the key of the log 'maestro.example/audit/shop', not of 'x'"):
        AuditLog.open(place.url, origin="x", key_file=place.key_file)


def test_who_has_only_the_public_key_can_read_verify_and_prove_and_nothing_else(place: Place, log: AuditLog) -> None:
    log.append_many(events(5))
    with AuditLog.read(place.url, key=place.key) as reading:
        assert reading.size == 5
        assert reading.verify().ok
        assert reading.prove(2).verify(place.key).size == 5
        for forbidden in (reading.checkpoint, lambda: reading.append(events(1)[0])):
            with pytest.raises(AuditError, match="was opened to be read only"):
                forbidden()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "the address of the audit database is not a URL"),
        ("mysql://ann:hunter2@host/x", "the audit log cannot be kept in mysql"),
        ("sqlite://", "the audit log needs a file"),
        ("sqlite:///:memory:", "the audit log needs a file"),
        ("sqlite:////proc/nowhere/audit.db", "the audit log cannot be kept in /proc/nowhere/audit.db"),
        ("postgresql://ann:hunter2@127.0.0.1:1/x", r"the audit database postgresql://ann:\*\*\*@127.0.0.1:1/x refuses"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_without_its_password(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((AuditError, AuditInputError), match=message) as raised:
        AuditLog.open(url, origin=ORIGIN, key_file=tmp_path / "audit.pem")
    assert "hunter2" not in str(raised.value)
    assert raised.value.next_step


def test_no_new_log_is_begun_where_one_has_disappeared(place: Place, log: AuditLog) -> None:
    log.append_many(events(2))
    intruder = Intruder(place.url)
    for table in ("audit_log", "audit_entries", "audit_nodes", "audit_head", "audit_checkpoints", "audit_cursors"):
        intruder.plainly(f"DROP TABLE {table}")
    intruder.close()
    with pytest.raises(AuditTamperedError, match=r"audit.pem has signed is gone from .*\n  next: restore the database"):
        place.open()


def test_no_proof_is_made_of_a_row_that_was_changed(place: Place, log: AuditLog) -> None:
    log.append_many(events(4))
    intruder = Intruder(place.url)
    intruder.run("UPDATE audit_entries SET actor = 'mallory' WHERE idx = 2")
    with pytest.raises(AuditTamperedError, match="row 2 of the audit log or a hash above it was changed"):
        log.prove(2)
    intruder.run("DELETE FROM audit_nodes WHERE level = 0 AND idx = 0")
    with pytest.raises(AuditTamperedError, match="the hash over the rows 0 to 0 of the audit log is gone"):
        log.prove(1)
    intruder.close()


def test_no_consistency_is_proved_of_a_log_that_was_rewritten(place: Place, log: AuditLog) -> None:
    log.append_many(events(4))
    old = log.checkpoint()
    log.append_many(events(3))
    intruder = Intruder(place.url)
    intruder.run(
        "UPDATE audit_nodes SET hash = (SELECT hash FROM audit_nodes WHERE level = 0 AND idx = 0) WHERE idx = 2"
    )
    intruder.close()
    with pytest.raises(AuditError, match="the audit log was rewritten: at 7 entries it does not begin with what was"):
        log.consistency(old)


def test_a_log_that_is_not_there_is_not_made_by_looking_for_it(place: Place) -> None:
    with pytest.raises(AuditInputError, match="there is no audit log in"):
        place.open(create=False)
    assert not place.key_file.exists()
    assert not list(place.key_file.parent.parent.glob("*.db"))
