"""Decisions go into the audit log in batches, each in exactly one entry; and what is changed afterwards is named."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.audit.of_server import ServerAudit
from maestro.errors import MaestroError
from maestro.llm import auditing
from maestro.llm.audit_report import AuditFinding
from maestro.llm.auditing import DecisionAudit
from maestro.llm.decision_tables import BATCH_LOGS
from maestro.llm.decisions import outcome_of
from maestro.llm.decisions_export import export
from maestro.llm.retention import REMOVED_KIND
from maestro.server.database import open_engine
from tests.unit.decision_journal import Audited, Dying, Refusing
from tests.unit.llm_world import answer

RUN, NONE = "run1", "run2"


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Audited]:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield Audited(engine, tmp_path)
    engine.dispose()


def named(found: Sequence[AuditFinding]) -> list[tuple[str, str | None, int | None]]:
    return [(one.kind, one.decision, one.entry) for one in found]


def test_a_run_s_decisions_are_one_entry_that_says_whose_they_are_and_no_text(kept: Audited) -> None:
    ids = sorted(kept.call(minutes=n) for n in range(3))
    kept.call(run=NONE)
    assert kept.audit().of_run(RUN) == 3
    (entry,) = kept.entries()
    assert (entry.kind, entry.object[:4]) == ("llm.decisions", "bat_")
    said = dict(entry.data)
    assert (said["tenant"], said["project"], said["run"], said["count"]) == ("acme", "app", RUN, 3)
    assert (said["from"], said["to"]) == ("2026-11-21T11:58:00.000000Z", "2026-11-21T12:00:00.000000Z")
    assert sorted(said["decisions"]) == ids
    assert set(said) == {"tenant", "project", "run", "from", "to", "count", "sha256", "decisions"}


def test_an_auditor_recomputes_its_hash_from_exported_lines_with_nothing_but_sha256(kept: Audited) -> None:
    ids = {kept.call(minutes=n) for n in range(5)}
    kept.audit().of_run(RUN)
    lines = [line for line in export(kept.store.list(limit=None), "jsonl") if json.loads(line)["id"] in ids]
    lines.sort(key=lambda line: str(json.loads(line)["id"]))
    (entry,) = kept.entries()
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == entry.data["sha256"]
    for line in lines:
        assert hashlib.sha256(line.encode()).hexdigest() == entry.data["decisions"][json.loads(line)["id"]]


def test_what_a_later_version_adds_to_decisions_changes_no_line_of_an_old_one(kept: Audited) -> None:
    id = kept.call()
    kept.change("UPDATE maestro_llm_decisions SET document = json_remove(document, '$.downshift')")
    assert "downshift" not in json.loads(next(kept.store.lines_of([id])))


def test_each_decision_is_in_one_entry_however_often_it_is_asked_for(kept: Audited) -> None:
    kept.call()
    assert [kept.audit().of_run(RUN) for _ in range(3)] == [1, 0, 0]
    assert kept.audit().rest(after=timedelta(0), whole=True) == 0
    assert len(kept.entries()) == 1


def test_a_long_run_is_several_entries(kept: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "MOST", 4)
    for minutes in range(10):
        kept.call(minutes=minutes)
    assert kept.audit().of_run(RUN) == 10
    assert [one.data["count"] for one in kept.entries()] == [4, 4, 2]
    assert kept.verify().ok


def test_the_rest_is_what_others_have_left_for_an_hour_by_project_and_run(kept: Audited) -> None:
    kept.call(run="dead", minutes=61)
    kept.call(run=None, minutes=90)
    kept.call(run=None, minutes=70)
    kept.call(run="at work", minutes=59)
    assert kept.audit().rest() == 3
    assert sorted((str(one.data["run"]), one.data["count"]) for one in kept.entries()) == [("None", 2), ("dead", 1)]


def test_a_call_without_an_outcome_waits_for_a_day(kept: Audited) -> None:
    kept.call(ended=False, minutes=23 * 60)
    assert (kept.audit().of_run(RUN), kept.audit().rest()) == (0, 0)
    kept.now += timedelta(hours=2)
    assert kept.audit().rest() == 1
    assert kept.verify().ok


def test_what_one_caller_has_asked_is_brought_there_alone(kept: Audited) -> None:
    kept.call(run=None, minutes=5)
    kept.call(run=None)
    kept.call(run=RUN)
    assert kept.audit().of_caller("app", "ada", kept.now - timedelta(minutes=1)) == 1
    assert kept.audit().of_caller("app", "bob", kept.now - timedelta(hours=1)) == 0


def test_a_look_begins_where_the_one_before_found_nothing_left_and_a_whole_one_at_the_beginning(kept: Audited) -> None:
    kept.call(minutes=60 * 30)
    assert kept.audit().rest() == 1
    kept.call(minutes=60 * 29, run="late")  # Written long after it was made.
    assert kept.audit().rest() == 0
    assert kept.audit().rest(whole=True) == 1


def test_what_the_log_did_not_take_is_taken_the_next_time(kept: Audited) -> None:
    id = kept.call()
    with pytest.raises(MaestroError, match="does not answer"):
        kept.audit(Refusing(kept.folder)).of_run(RUN)
    assert kept.entries() == []
    assert kept.audit().rest() == 1
    assert [[*one.data["decisions"]] for one in kept.entries()] == [[id]]
    assert kept.verify().ok


def test_an_entry_whose_writer_died_before_it_noted_it_is_not_written_twice(kept: Audited) -> None:
    kept.call()
    with pytest.raises(KeyboardInterrupt):
        kept.audit(Dying(kept.folder)).of_run(RUN)
    assert kept.audit().rest() == 0
    assert len(kept.entries()) == 1
    assert kept.verify().ok


def test_a_second_entry_of_a_batch_is_named_and_is_no_fault(kept: Audited) -> None:
    kept.call()
    kept.audit().of_run(RUN)
    (first,) = kept.entries()
    with ServerAudit(kept.folder, "ada") as log:  # Somebody was stopped for long, and went on.
        log.note(first.kind, first.object, first.data)
    report = kept.verify()
    assert (report.ok, report.entries, report.decisions, report.repeated) == (True, 2, 1, (1,))


def test_one_decision_in_two_different_batches_is_a_fault(kept: Audited) -> None:
    id = kept.call()
    kept.audit().of_run(RUN)
    (first,) = kept.entries()
    with ServerAudit(kept.folder, "ada") as log:
        log.note(first.kind, "bat_other", first.data)
    assert named(kept.verify().findings) == [("twice", id, 1)]


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE maestro_llm_decisions SET document = replace(document, \'"actor":"ada"\', \'"actor":"bob"\') WHERE id = :id',
        "UPDATE maestro_llm_decisions SET document = 'no json' WHERE id = :id",
        "UPDATE maestro_llm_decisions SET chosen = 'small' WHERE id = :id",
        "UPDATE maestro_llm_decisions SET project = 'other' WHERE id = :id",
        "UPDATE maestro_llm_calls SET document = json_set(document, '$.cost_nano', 1) WHERE decision = :id",
        "UPDATE maestro_llm_calls SET cost_nano = 1 WHERE decision = :id",
        "DELETE FROM maestro_llm_calls WHERE decision = :id",
    ],
)
def test_a_changed_row_is_named_with_its_entry(kept: Audited, statement: str) -> None:
    kept.call(run=NONE)
    kept.audit().of_run(NONE)
    id, _ = kept.call(), kept.call()
    kept.audit().of_run(RUN)
    assert kept.verify().ok
    kept.change(statement, id=id)
    report = kept.verify()
    assert named(report.findings) == [("edited", id, 1)]
    assert id in report.findings[0].what
    assert report.decisions == 2


def test_a_removed_row_is_named_with_its_entry_and_its_time(kept: Audited) -> None:
    id = kept.call()
    kept.audit().of_run(RUN)
    kept.change("DELETE FROM maestro_llm_decisions WHERE id = :id", id=id)
    kept.change("DELETE FROM maestro_llm_audited WHERE decision = :id", id=id)
    (found,) = kept.verify().findings
    assert named([found]) == [("removed", id, 0)]
    assert "of 2026-11-21 12:00 UTC is in entry 0 and gone" in found.what


def test_what_was_removed_after_its_time_is_no_fault_when_the_log_says_so(kept: Audited) -> None:
    kept.call(minutes=60 * 24 * 401)
    kept.call()
    kept.audit().rest(after=timedelta(0))
    assert kept.store.prune(400, now=kept.now) == 1
    assert [one.kind for one in kept.verify().findings] == ["removed"], "nobody has written it down"
    before = (kept.now - timedelta(days=400)).isoformat(timespec="seconds")
    with ServerAudit(kept.folder, "ada") as log:
        log.note(REMOVED_KIND, "decisions", {"decisions": 1, "days": 400, "before": before})
    report = kept.verify()
    assert (report.ok, report.expired, report.decisions) == (True, 1, 1)


def test_a_decision_that_was_made_up_later_has_no_entry(kept: Audited) -> None:
    kept.call()
    kept.audit().of_run(RUN)
    made_up = kept.call(minutes=60 * 5)
    assert named(kept.verify().findings) == [("unaudited", made_up, None)]


def test_a_mark_that_says_audited_does_not_replace_an_entry(kept: Audited) -> None:
    kept.call()
    kept.audit().of_run(RUN)
    made_up = kept.call(minutes=60 * 5)
    kept.change("INSERT INTO maestro_llm_audited (decision, batch) VALUES (:id, 'bat_x')", id=made_up)
    (found,) = kept.verify().findings
    assert (found.decision, "marked as audited in bat_x" in found.what) == (made_up, True)


def test_what_has_just_been_asked_need_not_be_audited_yet(kept: Audited) -> None:
    kept.call()
    kept.audit().of_run(RUN)
    kept.call(run=NONE, minutes=60)
    kept.call(run=NONE, ended=False, minutes=60 * 5)
    report = kept.verify()
    assert (report.ok, report.waiting) == (True, 2)


def test_a_log_that_is_not_what_was_signed_proves_nothing(kept: Audited) -> None:
    kept.call()
    kept.audit().of_run(RUN)
    log = open_engine(f"sqlite:///{kept.folder / 'audit.db'}")
    with log.begin() as connection:
        (table,) = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%actor%'"
        ).scalars()
        for trigger in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars():
            connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
        connection.exec_driver_sql(f"UPDATE {table} SET actor = 'eve'")
    log.dispose()
    (found,) = kept.verify().findings
    assert (found.kind, "the audit log itself is not what was signed" in found.what) == ("log", True)


def test_what_was_looked_at_an_hour_ago_is_not_looked_at_each_time_and_an_open_call_does_not_change_that(
    kept: Audited,
) -> None:
    kept.call(ended=False, minutes=5 * 60)
    assert kept.audit().rest() == 0
    late = kept.call(minutes=3 * 60, run="late")  # Written long after it was made.
    assert kept.audit().rest() == 0
    kept.now += timedelta(minutes=61)
    assert kept.audit().rest() == 1
    assert [[*one.data["decisions"]] for one in kept.entries()] == [[late]]
    kept.now += timedelta(hours=20)
    assert kept.audit().rest() == 1, "what never ended is brought there after a day"
    assert kept.verify().ok


def test_a_call_that_never_ended_is_there_before_it_counts_as_never_audited(kept: Audited) -> None:
    kept.call(ended=False)
    kept.now += timedelta(hours=24, minutes=-1)
    assert kept.audit().rest() == 0
    kept.now += timedelta(minutes=32)
    assert kept.audit().rest() == 1


def test_a_call_that_took_for_hours_is_found_within_an_hour_of_its_end(kept: Audited) -> None:
    id = kept.call(ended=False, minutes=3 * 60)
    kept.audit().rest()
    kept.now += timedelta(minutes=10)
    made = kept.store.get(id).decision
    kept.store.keep(made, outcome_of(made, answer(made), at=kept.now))
    kept.now += timedelta(minutes=61)
    assert kept.audit().rest() == 1


def test_what_has_just_ended_is_found_by_the_next_look_however_long_ago_it_was_asked(kept: Audited) -> None:
    asked = kept.now - timedelta(hours=2)
    id = kept.call(ended=False, minutes=2 * 60)
    made = kept.store.get(id).decision
    assert made.at == asked
    kept.store.keep(made, outcome_of(made, answer(made), at=kept.now))
    assert kept.audit().rest(after=timedelta(minutes=1)) == 0
    kept.now += timedelta(minutes=2)
    assert kept.audit().rest(after=timedelta(minutes=1)) == 1


def test_nothing_is_lost_when_nobody_has_looked_for_weeks(kept: Audited) -> None:
    kept.call(ended=False, minutes=30)
    kept.audit().rest()
    kept.call(run="soon")
    kept.now += timedelta(days=20)
    kept.call(run="later", minutes=60 * 24 * 19)
    assert kept.audit().rest() == 3
    assert kept.verify().ok


@pytest.fixture
def other(kept: Audited, tmp_path: Path) -> Audited:
    """The same decisions, seen with another profile: its log has the same origin and the same key."""
    folder = tmp_path / "other"
    with ServerAudit(tmp_path, "ada") as log:
        log.note("test.begun", "log", {})
    (folder / "keys").mkdir(parents=True)
    shutil.copy(tmp_path / "keys" / "audit.pem", folder / "keys")
    return Audited(kept.engine, folder)


def test_each_of_two_logs_is_verified_by_itself_and_names_the_other(kept: Audited, other: Audited) -> None:
    for minutes in (60 * 5, 60 * 6):
        kept.call(minutes=minutes)
    kept.audit().of_run(RUN)
    kept.call(run=NONE, minutes=60 * 5)
    other.audit().of_run(NONE)
    first, second = kept.verify(), other.verify()
    assert (first.ok, first.decisions, first.elsewhere) == (
        True,
        2,
        {f"maestro/server in {other.folder / 'audit.db'}": 1},
    )
    assert (second.ok, second.decisions, second.elsewhere) == (
        True,
        1,
        {f"maestro/server in {kept.folder / 'audit.db'}": 2},
    )


def test_what_is_marked_as_audited_in_this_log_is_looked_for_in_this_log(kept: Audited, other: Audited) -> None:
    id = kept.call(minutes=60 * 5)
    with pytest.raises(MaestroError, match="does not answer"):
        kept.audit(Refusing(kept.folder)).of_run(RUN)
    other.call(run=NONE)
    other.audit().of_run(NONE)
    assert [one.decision for one in kept.verify().findings] == [id]
    assert other.verify().ok


def test_a_batch_that_was_begun_for_one_log_is_not_written_into_another(kept: Audited, other: Audited) -> None:
    id = kept.call()
    with pytest.raises(MaestroError, match="does not answer"):
        kept.audit(Refusing(kept.folder)).of_run(RUN)
    with pytest.raises(KeyboardInterrupt):
        kept.call(run=NONE)
        kept.audit(Dying(kept.folder)).of_run(NONE)
    kept.now = other.now = kept.now + timedelta(hours=1)
    assert other.audit().rest() == 0
    assert [one for one in other.entries() if one.kind == "llm.decisions"] == []
    assert kept.audit().rest() == 1
    entries = [one for one in kept.entries() if one.kind == "llm.decisions"]
    assert (len(entries), [*entries[1].data["decisions"]]) == (2, [id])


def test_what_no_log_could_be_opened_for_goes_into_the_next_that_can(kept: Audited, other: Audited) -> None:
    id = kept.call()

    def nothing() -> Refusing:
        raise MaestroError("the audit log is not there")

    with pytest.raises(MaestroError, match="is not there"):
        DecisionAudit(kept.engine, nothing, lambda: kept.now).of_run(RUN)
    assert other.audit().rest() == 1
    (entry,) = (one for one in other.entries() if one.kind == "llm.decisions")
    assert [*entry.data["decisions"]] == [id]
    assert (other.verify().ok, [*kept.verify().elsewhere.values()]) == (True, [1])


def test_a_log_that_was_moved_is_still_the_same(kept: Audited, tmp_path: Path) -> None:
    kept.call(minutes=60 * 5)
    kept.audit().of_run(RUN)
    moved = tmp_path / "moved"
    (moved / "keys").mkdir(parents=True)
    for name in ("audit.pem", "audit.pem.pub"):
        shutil.copy(tmp_path / "keys" / name, moved / "keys")
    with closing(sqlite3.connect(tmp_path / "audit.db")) as there, closing(sqlite3.connect(moved / "audit.db")) as here:
        there.backup(here)
    report = Audited(kept.engine, moved).verify()
    assert (report.ok, report.decisions, report.elsewhere) == (True, 1, {})


def test_batches_of_a_ledger_that_does_not_say_their_log_count_as_this_one_s(kept: Audited) -> None:
    kept.call()
    with pytest.raises(MaestroError, match="does not answer"):
        kept.audit(Refusing(kept.folder)).of_run(RUN)
    kept.change(f"DELETE FROM {BATCH_LOGS.name}")
    assert kept.audit().rest() == 1
    assert kept.verify().ok


def test_with_its_decisions_a_batch_forgets_its_log(kept: Audited) -> None:
    kept.call(minutes=60 * 24 * 401)
    kept.call()
    kept.audit().rest(after=timedelta(0))
    kept.audit().of_run(RUN)
    kept.store.prune(400, now=kept.now)
    with kept.engine.begin() as connection:
        batches = connection.execute(sa.select(BATCH_LOGS.c.batch)).scalars().all()
        entered = connection.exec_driver_sql("SELECT id FROM maestro_llm_audit_batches").scalars().all()
    assert batches == entered
