"""``maestro llm verify``, and the entry ``maestro llm ask`` leaves in the audit log."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from tests.unit.money_project import MODELS, MoneyProject, money_project


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    for name in ("MAESTRO_SERVER_HOME", "MAESTRO_PROFILE", "OPENAI_API_KEY", "NO_SUCH_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAESTRO_ACTOR", "ann")
    return money_project(tmp_path / "shop")


def ask(shop: MoneyProject, *more: str) -> str:
    asked = shop.run("llm", "ask", "A tree. A house. A cat.", "--model", "plain", "--json", *more)
    assert asked.code == 0, asked.err
    return str(asked.json["decision"])


def change(shop: MoneyProject, statement: str) -> None:
    with sqlite3.connect(shop.home / "ledger.db") as connection:
        assert connection.execute(statement).rowcount
    connection.close()


def test_what_was_asked_is_an_entry_of_the_audit_log_as_soon_as_it_is_answered(shop: MoneyProject) -> None:
    id = ask(shop)
    (entry,) = shop.audited()
    assert (entry["kind"], entry["actor"], entry["data"]["count"]) == ("llm.decisions", "ann", 1)
    assert [*entry["data"]["decisions"]] == [id]
    assert "house" not in str(entry)


def test_a_call_that_was_refused_is_an_entry_too(shop: MoneyProject) -> None:
    (shop.root / "models.yaml").write_text(json.dumps({**MODELS, "last_resort": False}), encoding="utf-8")
    assert shop.run("llm", "ask", "A tree.", "--model", "grand").code == 2
    (kept,) = shop.run("llm", "decisions", "--json").json["decisions"]
    assert kept["outcome"]["state"] == "refused"
    assert [[*one["data"]["decisions"]] for one in shop.audited()] == [[kept["id"]]]


def test_a_dry_run_leaves_none(shop: MoneyProject) -> None:
    shop.run("llm", "ask", "A tree.", "--model", "plain", "--dry-run")
    assert not (shop.home / "audit.db").exists()


def test_before_anything_was_asked_there_is_nothing_to_verify(shop: MoneyProject) -> None:
    said = shop.run("llm", "verify")
    assert (said.code, said.out) == (0, "no model was asked\n")
    assert shop.run("llm", "verify", "--json").json["ok"] is True


def test_all_is_well_while_nobody_has_changed_anything(shop: MoneyProject) -> None:
    ask(shop)
    ask(shop)
    said = shop.run("llm", "verify")
    assert (said.code, said.out) == (0, "ok 2 decisions as they were audited, in 2 entries of the log\n")


def test_a_changed_row_is_named_with_its_entry_and_exit_code_1(shop: MoneyProject) -> None:
    ask(shop)
    id = ask(shop)
    change(shop, f"UPDATE maestro_llm_decisions SET document = replace(document, 'ann', 'bob') WHERE id = '{id}'")
    said = shop.run("llm", "verify")
    assert said.code == 1
    assert said.out.splitlines()[0].endswith(f"edited: {id} is not what entry 1 says: what is kept of it was changed")
    found = shop.run("llm", "verify", "--json").json
    assert (found["ok"], [(one["kind"], one["decision"]) for one in found["findings"]]) == (False, [("edited", id)])


def test_all_rows_gone_is_no_clean_slate(shop: MoneyProject) -> None:
    id = ask(shop)
    for table in ("decisions", "calls", "audited", "audit_batches"):
        change(shop, f"DELETE FROM maestro_llm_{table}")
    said = shop.run("llm", "verify")
    assert said.code == 1
    assert f"removed: {id}" in said.out


def test_a_log_that_is_gone_is_told(shop: MoneyProject) -> None:
    ask(shop)
    (shop.home / "audit.db").unlink()
    said = shop.run("llm", "verify")
    assert said.code != 0
    assert "is gone from" in said.err


def test_the_lines_of_an_entry_have_its_hash(shop: MoneyProject) -> None:
    ask(shop)
    ask(shop)
    lines = shop.run("llm", "export", "--entry", "1").out
    assert hashlib.sha256(lines.encode()).hexdigest() == shop.audited()[1]["data"]["sha256"]
    assert lines in shop.run("llm", "export").out


def test_an_entry_about_something_else_has_no_lines(shop: MoneyProject) -> None:
    assert shop.run("llm", "override", "add", "local-only", "plain", "--expires", "7d", "--reason", "trial").code == 0
    ask(shop)
    for index in ("0", "99"):
        said = shop.run("llm", "export", "--entry", index)
        assert (said.code, f"entry {index} of the audit log is about no decisions" in said.err) == (2, True), said
    said = shop.run("llm", "export", "--entry", "1", "--format", "csv")
    assert (said.code, "--entry is for JSON lines" in said.err) == (2, True)


def test_of_a_server_its_own_log_has_the_entry(
    shop: MoneyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAESTRO_SERVER_HOME", str(tmp_path / "server"))
    (tmp_path / "server").mkdir()
    said = shop.run("llm", "verify")
    assert (said.code, "a server begins one with the first thing" in said.err) == (2, True)
