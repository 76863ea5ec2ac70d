"""Whatever somebody with all rights on the database does to the log is found, and named."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.audit import AuditLog
from maestro.audit.event import Row
from maestro.audit.merkle import extend, fold
from maestro.audit.note import SignerKey
from maestro.audit.report import AuditReport
from tests.integration.audit_logs import ORIGIN, Intruder, Place, events

COLUMNS = "at, actor, kind, object, data"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    url = (
        f"sqlite:///{tmp_path / 'audit.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_database")
    )
    return Place(url, tmp_path / "audit.pem")


@pytest.fixture
def log(place: Place) -> Iterator[AuditLog]:
    """Twenty entries, with checkpoints at 8 and 16."""
    with place.open() as opened:
        for _ in range(2):
            opened.append_many(events(8))
            opened.checkpoint()
        opened.append_many(events(4))
        yield opened


@pytest.fixture
def intruder(place: Place) -> Iterator[Intruder]:
    made = Intruder(place.url)
    yield made
    made.close()


def named(report: AuditReport) -> list[tuple[str, int | None, int | None]]:
    assert report.ok == (not report.findings)
    return [(finding.kind, finding.first, finding.last) for finding in report.findings]


def rehash(connection: sa.Connection) -> list[bytes]:
    """Makes all stored hashes those of the rows as they are now, as a clever intruder would; the new frontier."""
    connection.execute(sa.text("DELETE FROM audit_nodes"))
    frontier: list[bytes] = []
    rows = connection.execute(sa.text(f"SELECT {COLUMNS} FROM audit_entries ORDER BY idx")).all()
    for index, texts in enumerate(rows):
        for level, place, value in extend(frontier, index, Row(*texts).leaf(index)):
            connection.execute(
                sa.text("INSERT INTO audit_nodes VALUES (:level, :idx, :hash)"),
                {"level": level, "idx": place, "hash": value},
            )
    return frontier


def test_a_sound_log_has_no_findings(log: AuditLog) -> None:
    report = log.verify()
    assert (named(report), report.warnings, report.size, report.checkpoints) == ([], [], 20, 3)
    assert report.root == log.head().root


def test_an_empty_log_is_sound(tmp_path: Path) -> None:
    with Place(f"sqlite:///{tmp_path / 'audit.db'}", tmp_path / "audit.pem").open() as log:
        assert named(log.verify()) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "mallory"),
        ("data", '{"number":99}'),
        ("data", '{"number": 5}'),
        ("data", "nonsense"),
        ("kind", "waiver.used"),
        ("object", "sha256:other"),
        ("at", "2020-01-01T00:00:00.000000Z"),
    ],
)
def test_an_edited_row_is_named(log: AuditLog, intruder: Intruder, column: str, value: str) -> None:
    with intruder.inside() as connection:
        connection.execute(sa.text(f"UPDATE audit_entries SET {column} = :value WHERE idx = 5"), {"value": value})
    assert named(log.verify()) == [("edited", 5, 5)]


def test_a_row_that_is_not_even_text_is_named(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path / 'audit.db'}", tmp_path / "audit.pem")
    with place.open() as log:
        log.append_many(events(6))
        intruder = Intruder(place.url)
        intruder.run("UPDATE audit_entries SET data = x'ff' WHERE idx = 2")
        intruder.run("UPDATE audit_entries SET actor = CAST(x'ff' AS TEXT) WHERE idx = 4")
        intruder.close()
        assert named(log.verify()) == [("edited", 2, 2), ("edited", 4, 4)]


def test_several_edited_rows_are_each_named(log: AuditLog, intruder: Intruder) -> None:
    intruder.run("UPDATE audit_entries SET actor = 'mallory' WHERE idx IN (0, 7, 8, 19)")
    assert named(log.verify()) == [("edited", 0, 0), ("edited", 7, 7), ("edited", 8, 8), ("edited", 19, 19)]


def test_an_edited_row_is_named_even_if_its_own_hash_was_made_to_fit(log: AuditLog, intruder: Intruder) -> None:
    with intruder.inside() as connection:
        connection.execute(sa.text("UPDATE audit_entries SET actor = 'mallory' WHERE idx = 4"))
        texts = connection.execute(sa.text(f"SELECT {COLUMNS} FROM audit_entries WHERE idx = 4")).one()
        leaf = Row(*texts).leaf(4)
        connection.execute(sa.text("UPDATE audit_nodes SET hash = :leaf WHERE level = 0 AND idx = 4"), {"leaf": leaf})
    report = log.verify()
    assert named(report) == [("rewritten", 4, 5)]
    assert "among rows 4 to 5 there are changes made together with their hashes" in report.findings[0].what


def test_a_dropped_row_is_named(log: AuditLog, intruder: Intruder) -> None:
    intruder.run("DELETE FROM audit_entries WHERE idx = 11")
    assert named(log.verify()) == [("dropped", 11, 11)]


def test_a_dropped_row_whose_gap_was_closed_is_named(log: AuditLog, intruder: Intruder) -> None:
    intruder.run(
        "DELETE FROM audit_entries WHERE idx = 11",
        "UPDATE audit_entries SET idx = -idx WHERE idx > 11",
        "UPDATE audit_entries SET idx = -idx - 1 WHERE idx < 0",
    )
    report = log.verify()
    assert named(report) == [("dropped", 11, 11), ("reordered", 12, 19)]
    assert report.findings[1].what == "rows 12 to 19 now stand at 11 to 18"


def test_rows_that_changed_places_are_named(log: AuditLog, intruder: Intruder) -> None:
    intruder.run(
        "UPDATE audit_entries SET idx = -1 WHERE idx = 3",
        "UPDATE audit_entries SET idx = 3 WHERE idx = 17",
        "UPDATE audit_entries SET idx = 17 WHERE idx = -1",
    )
    report = log.verify()
    assert named(report) == [("reordered", 3, 3), ("reordered", 17, 17)]
    assert report.findings[0].what == "row 3 now stands at 17"


def test_a_row_put_between_others_is_named(log: AuditLog, intruder: Intruder) -> None:
    intruder.run(
        "UPDATE audit_entries SET idx = -idx WHERE idx >= 6",
        "UPDATE audit_entries SET idx = -idx + 1 WHERE idx < 0",
        "INSERT INTO audit_entries SELECT 6, at, 'mallory', kind, object, data FROM audit_entries WHERE idx = 0",
    )
    report = log.verify()
    assert sorted(named(report)) == [("inserted", 6, 6), ("reordered", 6, 19)]


@pytest.mark.parametrize("index", [20, 1000, -1])
def test_a_row_outside_the_log_is_named(log: AuditLog, intruder: Intruder, index: int) -> None:
    intruder.plainly(f"INSERT INTO audit_entries SELECT {index}, {COLUMNS} FROM audit_entries WHERE idx = 0")
    assert named(log.verify()) == [("inserted", index, index)]


def test_rows_cut_off_the_end_are_named(log: AuditLog, intruder: Intruder) -> None:
    intruder.run("DELETE FROM audit_entries WHERE idx >= 17")
    assert named(log.verify()) == [("truncated", 17, 19)]


def test_rows_cut_off_with_their_hashes_are_named(log: AuditLog, intruder: Intruder) -> None:
    intruder.run(
        "DELETE FROM audit_entries WHERE idx >= 17", "DELETE FROM audit_nodes WHERE (idx + 1) * (1 << level) > 17"
    )
    assert ("truncated", 17, 19) in named(log.verify())


def test_the_head_still_vouches_for_whole_subtrees_before_rows_that_were_cut_off_with_their_hashes(
    place: Place, intruder: Intruder
) -> None:
    with place.open() as log:
        log.append_many(events(20))
        intruder.run(
            "DELETE FROM audit_entries WHERE idx >= 17", "DELETE FROM audit_nodes WHERE (idx + 1) * (1 << level) > 17"
        )
        found = [one for one in named(log.verify()) if one[0] in ("rewritten", "truncated")]
    assert found == [("rewritten", 16, 19), ("truncated", 17, 19)]


def cut_back(place: Place, intruder: Intruder, size: int, head: tuple[object, ...]) -> None:
    """Makes the database the one it was at ``size``, down to the genuine head of that time."""
    with intruder.inside() as connection:
        connection.execute(sa.text(f"DELETE FROM audit_entries WHERE idx >= {size}"))
        connection.execute(sa.text(f"DELETE FROM audit_nodes WHERE (idx + 1) * (1 << level) > {size}"))
        connection.execute(sa.text(f"DELETE FROM audit_checkpoints WHERE size > {size}"))
        query = sa.text("UPDATE audit_head SET size = :size, frontier = :frontier, note = :note")
        connection.execute(query, dict(zip(("size", "frontier", "note"), head, strict=True)))


def test_a_log_put_back_to_an_earlier_state_fails_against_the_published_checkpoint(place: Place) -> None:
    intruder = Intruder(place.url)
    with place.open() as log:
        log.append_many(events(6))
        (head,) = intruder.rows("SELECT size, frontier, note FROM audit_head")
        log.append_many(events(4))
        published = log.checkpoint()
        cut_back(place, intruder, 6, tuple(head))
        # Alone, the database is a log that never had more entries.
        with AuditLog.read(place.url, key=place.key) as reading:
            assert named(reading.verify()) == []
            report = reading.verify([published])
        assert {("head", 6, 9), ("truncated", 6, 9)} <= set(named(report))
        assert "published checkpoints are missing from the database: at 10 entries" in report.warnings
    intruder.close()


def test_rows_put_back_to_before_the_last_stored_checkpoint_are_named(place: Place, intruder: Intruder) -> None:
    with place.open() as log:
        log.append_many(events(6))
        (head,) = intruder.rows("SELECT size, frontier, note FROM audit_head")
        log.append_many(events(4))
        log.checkpoint()
        (kept,) = intruder.rows("SELECT size, note, at FROM audit_checkpoints")
        cut_back(place, intruder, 6, tuple(head))
        with intruder.inside() as connection:
            query = sa.text("INSERT INTO audit_checkpoints VALUES (:size, :note, :at)")
            connection.execute(query, dict(zip(("size", "note", "at"), kept, strict=True)))
        assert {("head", 6, 9), ("truncated", 6, 9)} <= set(named(log.verify()))


def test_a_log_rewritten_with_all_its_hashes_fails_against_what_was_signed(log: AuditLog, intruder: Intruder) -> None:
    with intruder.inside() as connection:
        connection.execute(sa.text("UPDATE audit_entries SET actor = 'mallory' WHERE idx = 10"))
        frontier = rehash(connection)
        connection.execute(sa.text("UPDATE audit_head SET frontier = :frontier"), {"frontier": b"".join(frontier)})
    report = log.verify()
    assert ("head", None, None) in named(report)
    # The checkpoint at 8 still holds, so the change is behind it, and before the one at 16.
    assert ("rewritten", 8, 15) in named(report)
    assert not any(finding.first is not None and finding.first < 8 for finding in report.findings)


def test_a_log_rewritten_and_signed_by_another_key_is_not_believed(
    log: AuditLog, place: Place, intruder: Intruder
) -> None:
    forger = SignerKey.generate(ORIGIN)
    with intruder.inside() as connection:
        connection.execute(sa.text("UPDATE audit_entries SET actor = 'mallory' WHERE idx = 10"))
        frontier = rehash(connection)
        note = forger.sign(f"{ORIGIN}\n20\n{__import__('base64').b64encode(fold(frontier)).decode()}\n")
        query = sa.text("UPDATE audit_head SET frontier = :frontier, note = :note")
        connection.execute(query, {"frontier": b"".join(frontier), "note": note})
        connection.execute(sa.text("DELETE FROM audit_checkpoints"))
        connection.execute(sa.text("UPDATE audit_log SET key = :key"), {"key": str(forger.verifier)})
    report = log.verify()
    assert ("head", None, None) in named(report)
    assert "no trusted key signed this checkpoint" in report.findings[0].what


def test_a_fork_signed_with_the_stolen_key_is_found_by_the_published_checkpoint(
    log: AuditLog, place: Place, intruder: Intruder
) -> None:
    published = log.checkpoint()
    thief = SignerKey.parse(place.key_file.read_text())
    with intruder.inside() as connection:
        connection.execute(sa.text("UPDATE audit_entries SET actor = 'mallory' WHERE idx = 18"))
        frontier = rehash(connection)
        note = thief.sign(f"{ORIGIN}\n20\n{__import__('base64').b64encode(fold(frontier)).decode()}\n")
        query = sa.text("UPDATE audit_head SET frontier = :frontier, note = :note")
        connection.execute(query, {"frontier": b"".join(frontier), "note": note})
        connection.execute(sa.text("DELETE FROM audit_checkpoints WHERE size = 20"))
    assert named(log.verify()) == []
    report = log.verify([published])
    assert named(report)[0] == ("forked", None, None)
    assert ("rewritten", 16, 19) in named(report)


def test_a_forged_checkpoint_is_named_and_proves_nothing(log: AuditLog, intruder: Intruder) -> None:
    intruder.run("UPDATE audit_checkpoints SET note = replace(note, ':', ';') || 'x' WHERE size = 8")
    report = log.verify()
    assert named(report) == [("checkpoint", None, None)]
    assert report.findings[0].what.startswith("the checkpoint at 8 entries: not a signed note")


def test_a_checkpoint_moved_to_another_size_is_named(log: AuditLog, intruder: Intruder) -> None:
    intruder.run("UPDATE audit_checkpoints SET size = 9 WHERE size = 8")
    assert [finding.what for finding in log.verify().findings] == ["the checkpoint at 9 entries was signed over 8"]


@pytest.mark.parametrize(
    ("statement", "level", "index", "word"),
    [
        ("UPDATE audit_nodes SET hash = {other} WHERE level = 0 AND idx = 5", 0, 5, "damaged"),
        ("UPDATE audit_nodes SET hash = {other} WHERE level = 3 AND idx = 1", 3, 1, "damaged"),
        ("DELETE FROM audit_nodes WHERE level = 2 AND idx = 4", 2, 4, "gone"),
    ],
)
def test_a_damaged_hash_over_sound_rows_is_told_from_a_damaged_row(
    log: AuditLog, intruder: Intruder, statement: str, level: int, index: int, word: str
) -> None:
    intruder.run(statement.format(other="(SELECT hash FROM audit_nodes WHERE level = 1 AND idx = 0)"))
    report = log.verify()
    assert named(report) == [("hash", index << level, ((index + 1) << level) - 1)]
    assert report.findings[0].what.endswith(f"is {word}")


def test_a_head_that_is_gone_is_named_and_the_rows_are_held_against_the_checkpoints(
    log: AuditLog, intruder: Intruder
) -> None:
    intruder.run("DELETE FROM audit_head", "UPDATE audit_entries SET actor = 'mallory' WHERE idx = 2")
    report = log.verify()
    assert {("head", None, None), ("edited", 2, 2)} <= set(named(report))


def test_triggers_that_were_taken_away_are_a_warning(log: AuditLog, place: Place, intruder: Intruder) -> None:
    table = " ON audit_entries" if place.url.startswith("postgresql") else ""
    intruder.plainly(f"DROP TRIGGER audit_entries_no_update{table}")
    report = log.verify()
    assert report.ok
    assert report.warnings == ["triggers that refuse changes are missing or off: audit_entries_no_update"]


def test_entries_appended_while_the_log_is_verified_are_no_findings(log: AuditLog) -> None:
    with ThreadPoolExecutor(1) as pool:
        appending = pool.submit(lambda: [log.append(event) for event in events(60)])
        reports = [log.verify()]
        while not appending.done():
            reports.append(log.verify())
    assert [named(report) for report in reports] == [[]] * len(reports)
