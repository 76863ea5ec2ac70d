"""What a server removes of models' calls once a day: on SQLite and PostgreSQL, with a row in its audit log."""

from __future__ import annotations

import dataclasses
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro.artifacts import keys
from maestro.audit import AuditLog
from maestro.ledger.model import Attribution, Unit
from maestro.ledger.place import ledger_url
from maestro.ledger.store import Ledger
from maestro.ledger.tables import RESERVATIONS
from maestro.llm.decisions import DecisionStore, decision_id
from maestro.llm.findings import Finding, FindingStore
from maestro.server.home import HOME_VARIABLE, find_server
from maestro.server.projects import RegisteredProject
from maestro_defs import model_upkeep
from maestro_defs.model_upkeep import ModelUpkeep, tidy_up_models
from maestro_defs.server import Server
from tests.unit.llm_world import ask

NOW = datetime.now(UTC)
OLD = "llm/answers/old.json"


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "postgresql":
        monkeypatch.setenv("SERVERS_DATABASE", request.getfixturevalue("postgres_database"))
        (home / "server.yaml").write_text("database: env:SERVERS_DATABASE\n")
    return started(home)


def started(home: Path) -> Server:
    made = Server(find_server(home, environ={}))
    for name in ("shop", "web"):
        if made.projects.find(name) is None:
            made.projects.add(RegisteredProject(name, str(home / "origin"), tenant="acme", provider="git"))
    return made


def opened(server: Server) -> Ledger:
    home = server.home.folder
    return Ledger.open(ledger_url(home, {HOME_VARIABLE: str(home)}))


def use(server: Server) -> None:
    """Of a year and a half: a call every fifty days, the last one just now; and an old answer of a project."""
    with opened(server) as ledger:
        decisions = DecisionStore(ledger.engine)
        for days in range(0, 550, 50):
            at = NOW - timedelta(days=days, hours=-1)  # None is just as old as what is removed.
            decisions.keep(dataclasses.replace(ask("all"), id=decision_id(at), at=at))
            ledger.spend(Attribution("acme", "shop"), {Unit.RUNS: 1}, id=f"run:{days}")
            with ledger.engine.begin() as connection:
                of_it = RESERVATIONS.update().where(RESERVATIONS.c.id == f"run:{days}")
                connection.execute(of_it.values(expires=at.timestamp()))
    for project in server.projects.all():
        store = server.store(project)
        store.objects.replace(OLD, b"{}")
        store.objects.replace(keys.answer("young"), b"{}")
        assert store.objects.folder is not None
        old = (NOW - timedelta(days=31)).timestamp()
        os.utime(store.objects.folder / OLD, (old, old))


def counted(server: Server) -> tuple[int, int, int]:
    """Reservations, decisions and answers that are left."""
    with opened(server) as ledger:
        assert ledger.check() == []
        assert len(list(ledger.charges())) == 11
        held = ledger.reservations([f"run:{days}" for days in range(0, 550, 50)])
        decisions = len(list(DecisionStore(ledger.engine).list(limit=None)))
    stores = [server.store(project) for project in server.projects.all()]
    return len(held), decisions, sum(len(list(store.objects.under(keys.ANSWERS))) for store in stores)


def removals(server: Server) -> list[tuple[str, object, object]]:
    folder = server.home.folder
    with AuditLog.open(
        f"sqlite:///{folder / 'audit.db'}", origin="maestro/server", key_file=folder / "keys" / "audit.pem"
    ) as log:
        found = [one for one in log.entries() if one.kind != "llm.decisions"]
    return [(one.kind, one.data["decisions"], one.data["days"]) for one in found]


def test_what_is_old_goes_and_the_audit_log_says_how_many_decisions(server: Server) -> None:
    use(server)
    for _ in range(2):
        tidy_up_models(server, NOW)
        assert counted(server) == (2, 9, 2)
    assert removals(server) == [("llm.decisions_removed", 2, 400)]


def test_what_was_found_of_deployments_that_are_gone_is_removed(server: Server) -> None:
    with opened(server) as ledger:
        decisions, findings = DecisionStore(ledger.engine), FindingStore(ledger.engine)
        findings.put(Finding("gone@1", "breaker", "old", "it failed", seconds=-2, kept=-1))
        findings.put(Finding("there@1", "health", "new", "it is down", seconds=60, kept=60))
        tidy_up_models(server, NOW)
        assert decisions.prune_findings() == 0
        assert [one.deployment for one in findings.current()] == ["there@1"]


def test_decisions_stay_for_ever_where_the_server_says_so(server: Server) -> None:
    use(server)
    with (server.home.folder / "server.yaml").open("a") as settings:
        settings.write("models: {decision_days: null}\n")
    changed = started(server.home.folder)
    tidy_up_models(changed, NOW)
    assert counted(changed) == (2, 11, 2)


def test_a_conductor_that_loses_its_lease_leaves_the_rest(server: Server) -> None:
    use(server)
    tidy_up_models(server, NOW, lambda: False)
    assert counted(server) == (11, 11, 4)


def test_a_store_or_a_ledger_that_is_away_keeps_nothing_else_from_going(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = started(tmp_path / "home")
    use(server)
    (server.home.folder / "ledger.db").write_bytes(b"this is no database" * 1000)
    with caplog.at_level(logging.WARNING, "maestro.upkeep"):
        tidy_up_models(server, NOW)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["the ledger cannot be tidied up"]
    stores = [server.store(project) for project in server.projects.all()]
    assert [len(list(store.objects.under(keys.ANSWERS))) for store in stores] == [1, 1]


def test_a_conductor_does_it_once_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = started(tmp_path / "home")
    use(server)
    upkeep = ModelUpkeep(server, lambda: True)
    upkeep.look()
    assert counted(server) == (11, 11, 4), "the first hour is for what is urgent"
    monkeypatch.setattr(model_upkeep, "FIRST_SECONDS", 0.0)
    due = ModelUpkeep(server, lambda: True)
    due.look()
    assert counted(server) == (2, 9, 2)
    for project in server.projects.all():
        (server.home.projects / project.name / "artifacts" / OLD).touch()
    due.look()
    assert counted(server) == (2, 9, 4)
