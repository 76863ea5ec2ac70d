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
    without_decisions(shop)
    said = shop.run("llm", "verify")
    assert said.code == 1
    assert f"removed: {id}" in said.out


def without_decisions(shop: MoneyProject, *but: str) -> None:
    for table in {"decisions", "calls", "audited", "audit_batches"} - {*but}:
        change(shop, f"DELETE FROM maestro_llm_{table}")


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_all_rows_and_the_keys_gone_is_none_either_as_the_log_is_there(
    shop: MoneyProject, as_json: tuple[str, ...]
) -> None:
    ask(shop)
    without_decisions(shop)
    (shop.home / "keys").rename(shop.home / "elsewhere")
    said = shop.run("llm", "verify", *as_json)
    assert (said.code, said.out) == (2, "")
    assert "the public key of the audit log is missing" in said.err
    assert "next: put it back there; `maestro audit verify --key` takes it too" in said.err


def test_nor_is_it_where_the_log_is_gone_as_well_and_a_batch_is_left(shop: MoneyProject) -> None:
    ask(shop)
    without_decisions(shop, "audit_batches")
    (shop.home / "keys").rename(shop.home / "elsewhere")
    (shop.home / "audit.db").unlink()
    said = shop.run("llm", "verify")
    assert (said.code, said.out) == (2, "")
    assert "there is no audit log in " in said.err
    assert "--db" not in said.err, "this command has no such option"
    assert "if there was one, restore it, or name it by `evidence: {audit: URL}` in the profile" in said.err


def test_a_log_that_is_gone_is_told(shop: MoneyProject) -> None:
    ask(shop)
    (shop.home / "audit.db").unlink()
    for left in ("audit.pem.pub", "audit.pem"):
        said = shop.run("llm", "verify")
        assert said.code != 0
        assert "is gone from" in said.err
        (shop.home / "keys" / left).unlink()


def test_the_lines_of_an_entry_have_its_hash(shop: MoneyProject) -> None:
    ask(shop)
    ask(shop)
    lines = shop.run("llm", "export", "--entry", "1").out
    assert hashlib.sha256(lines.encode()).hexdigest() == shop.audited()[1]["data"]["sha256"]
    assert lines in shop.run("llm", "export").out


def test_lines_of_an_entry_that_are_gone_are_missed(shop: MoneyProject, tmp_path: Path) -> None:
    id = ask(shop)
    change(shop, f"DELETE FROM maestro_llm_decisions WHERE id = '{id}'")
    for output in ((), ("--output", str(tmp_path / "lines"))):
        said = shop.run("llm", "export", "--entry", "0", *output)
        assert said.code == 1
        assert said.err == "1 of 1 decisions of this entry are no longer kept; see `maestro llm verify`\n"
    assert shop.run("llm", "export").code == 0


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
    (tmp_path / "server" / "keys").mkdir()
    (tmp_path / "server" / "keys" / "audit.pem.pub").write_text("of a log that was there", encoding="utf-8")
    said = shop.run("llm", "verify")
    assert said.code != 0
    assert "is gone from" in said.err
    assert "--db" not in said.err, "this command has no such option"


def test_what_is_in_the_log_of_another_profile_is_counted_and_is_no_finding(shop: MoneyProject, tmp_path: Path) -> None:
    ask(shop)
    # The key alone, as a person brings it to another machine: a log is begun there with the same origin and key.
    public = shop.home / "keys" / "audit.pem.pub"
    kept = public.read_bytes()
    public.unlink()
    profile = tmp_path / "prod"
    profile.mkdir()
    (profile / "dagster.yaml").touch()
    (profile / "settings.yaml").write_text(
        f"evidence: {{audit: 'sqlite:///{tmp_path / 'prod.db'}'}}\n", encoding="utf-8"
    )
    prod = ("--profile", str(profile))
    for _ in range(2):
        asked = shop.run(*prod, "llm", "ask", "A tree. A house. A cat.", "--model", "plain", "--json")
        assert asked.code == 0, asked.err
    assert public.read_bytes() == kept
    said = shop.run("llm", "verify")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"warn 2 decisions marked as audited in another log, maestro/shop in {tmp_path / 'prod.db'}: verify with the "
        "profile that names it",
        "ok 1 decision as they were audited, in 1 entry of the log",
    ]
    found = shop.run(*prod, "llm", "verify", "--json").json
    assert (found["ok"], found["decisions"]) == (True, 2)
    assert found["elsewhere"] == {f"maestro/shop in {shop.home / 'audit.db'}": 1}
