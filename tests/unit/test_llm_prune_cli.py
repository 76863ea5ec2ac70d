"""``maestro llm prune``: says what would go, and lets it go when told to."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro.audit import AuditLog
from maestro.ledger.model import Attribution, Unit
from maestro.ledger.store import Ledger
from maestro.ledger.tables import RESERVATIONS
from maestro.llm.decisions import DecisionStore, decision_id
from tests.unit.llm_world import ask
from tests.unit.money_project import MoneyProject, money_project

WHO = Attribution("local", "shop")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    monkeypatch.delenv("MAESTRO_PROFILE", raising=False)
    made = money_project(tmp_path / "shop")
    made.home.mkdir(exist_ok=True)
    return made


def use(home: Path) -> str:
    """A reservation of a hundred days ago, a decision of five hundred, an answer of forty; gives the decision's id."""
    now = datetime.now(UTC)
    at = now - timedelta(days=500)
    with Ledger.open(f"sqlite:///{home / 'ledger.db'}") as ledger:
        ledger.spend(WHO, {Unit.RUNS: 1}, id="run:r1")
        with ledger.engine.begin() as connection:
            connection.execute(RESERVATIONS.update().values(expires=(now - timedelta(days=100)).timestamp()))
        decision = dataclasses.replace(ask("all"), id=decision_id(at), at=at)
        DecisionStore(ledger.engine).keep(decision)
    answer = home / "artifacts" / "llm" / "answers" / "one.json"
    answer.parent.mkdir(parents=True)
    answer.write_text("{}")
    old = (now - timedelta(days=40)).timestamp()
    os.utime(answer, (old, old))
    return decision.id


def test_it_says_what_would_go_and_removes_nothing(shop: MoneyProject) -> None:
    id = use(shop.home)
    said = shop.run("llm", "prune")
    assert (said.code, said.out.splitlines()) == (
        0,
        ["would remove 1 reservation, 0 crossings, 1 decision and 1 answer", "next: add --yes"],
    )
    assert shop.run("llm", "why", id).code == 0


def test_with_yes_it_removes_them_and_the_books_stay_balanced(shop: MoneyProject) -> None:
    id = use(shop.home)
    assert shop.run("llm", "prune", "--yes").out == "removed 1 reservation, 0 crossings, 1 decision and 1 answer\n"
    again = shop.run("llm", "prune", "--yes", "--json").json
    assert again == {"removed": True, "reservations": 0, "crossings": 0, "decisions": 0, "answers": 0}
    assert shop.run("budget", "check").code == 0
    why = shop.run("llm", "why", id)
    assert why.code == 2
    assert "was removed: decisions are kept for 400 days" in why.err


def test_what_it_removes_of_decisions_is_a_row_of_the_audit_log(shop: MoneyProject) -> None:
    use(shop.home)
    shop.run("llm", "prune", "--yes")
    with AuditLog.open(
        f"sqlite:///{shop.home / 'audit.db'}", origin="maestro/shop", key_file=shop.home / "keys" / "audit.pem"
    ) as log:
        audited, removed = log.entries()
    assert (audited.kind, audited.data["count"]) == ("llm.decisions", 1), "what was never audited is first"
    assert (removed.kind, removed.data["decisions"], removed.data["days"]) == ("llm.decisions_removed", 1, 400)
    assert shop.run("llm", "verify").out.splitlines() == [
        "1 decision removed after the time they are kept for, as the log says",
        "ok 0 decisions as they were audited, in 1 entry of the log",
    ]


def test_decisions_are_kept_for_as_long_as_one_says(shop: MoneyProject) -> None:
    use(shop.home)
    assert shop.run("llm", "prune", "--decision-days", "600", "--json").json["decisions"] == 0
    assert shop.run("llm", "prune", "--decision-days", "499", "--json").json["decisions"] == 1
    said = shop.run("llm", "prune", "--decision-days", "0")
    assert (said.code, "0 is not in the range 1<=x<=36500" in said.err) == (2, True)


def test_of_a_server_its_own_settings_count(
    shop: MoneyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "server"
    monkeypatch.setenv("MAESTRO_SERVER_HOME", str(home))
    home.mkdir()
    use(home)
    for text, decisions in (("", 1), ("models: {decision_days: 501}\n", 0), ("models: {decision_days: null}\n", 0)):
        (home / "server.yaml").write_text(text)
        assert shop.run("llm", "prune", "--json").json == {
            "removed": False,
            "reservations": 1,
            "crossings": 0,
            "decisions": decisions,
            "answers": 1,
        }
    assert shop.run("llm", "prune", "--decision-days", "400", "--yes", "--json").json["decisions"] == 1
    (home / "server.yaml").write_text("models: {decision_days: 3}\n")
    said = shop.run("llm", "prune")
    assert (said.code, "models.decision_days: Input should be greater than or equal to 30" in said.err) == (2, True)


def test_where_no_model_was_ever_asked_there_is_nothing_to_remove(shop: MoneyProject) -> None:
    assert shop.run("llm", "prune").out == "would remove 0 reservations, 0 crossings, 0 decisions and 0 answers\n"
    assert not (shop.home / "ledger.db").exists()
