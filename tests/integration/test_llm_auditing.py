"""Decisions in the audit log, by real runs, by several processes' worth of writers, and on a server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.audit import AuditLog
from maestro.audit.event import Entry
from maestro.audit.keyfile import read_public
from maestro.ledger.place import ledger_url
from maestro.ledger.store import Ledger
from maestro.llm.audit_check import verify_decisions
from maestro.llm.decisions import DecisionStore
from maestro.server.database import open_engine
from maestro.server.home import HOME_VARIABLE, find_server
from maestro.server.projects import RegisteredProject
from maestro_defs.model_upkeep import ModelUpkeep, audit_decisions
from maestro_defs.server import Server
from tests.integration.delivery import Delivery
from tests.unit.decision_journal import Audited

ASKING = "{{ run: llm.generate, id: {0}, with: {{ text: 'A tree. A {0}. A house.' }} }}"


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Audited]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")
    engine = open_engine(url)
    yield Audited(engine, tmp_path)
    engine.dispose()


def test_several_at_once_bring_each_decision_into_exactly_one_entry(kept: Audited) -> None:
    ids = sorted(kept.call(run=f"run{n % 3}", minutes=61 + n) for n in range(30))

    def bring(number: int) -> int:
        if number % 2:
            return kept.audit().rest()
        return kept.audit().of_run(f"run{number % 3}")

    with ThreadPoolExecutor(6) as pool:
        written = list(pool.map(bring, range(12)))
    assert sum(written) == 30
    listed = [id for one in kept.entries() for id in one.data["decisions"]]
    assert sorted(listed) == ids
    report = kept.verify()
    assert (report.ok, report.decisions, report.repeated) == (True, 30, ())


def test_a_row_that_is_changed_or_removed_is_named(kept: Audited) -> None:
    edited, gone, _ = (kept.call(minutes=n) for n in range(3))
    kept.audit().of_run("run1")
    change = "UPDATE maestro_llm_decisions SET document = replace(document, 'ada', 'eve') WHERE id = :id"
    kept.change(change, id=edited)
    kept.change("DELETE FROM maestro_llm_decisions WHERE id = :id", id=gone)
    found = kept.verify().findings
    assert sorted((one.kind, one.decision, one.entry) for one in found) == [("edited", edited, 0), ("removed", gone, 0)]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY", HOME_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root)
    made.git("init", "-q", "-b", "main")
    return made


def audited(shop: Delivery) -> list[Entry]:
    with read(shop) as log:
        return [one for one in log.entries() if one.kind == "llm.decisions"]


def read(shop: Delivery) -> AuditLog:
    home = shop.project.home
    return AuditLog.read(f"sqlite:///{home / 'audit.db'}", key=read_public(str(home / "keys" / "audit.pem.pub")))


def decided(shop: Delivery) -> list[str]:
    with Ledger.open(ledger_url(shop.project.home, {})) as ledger:
        return sorted(one.decision.id for one in DecisionStore(ledger.engine).list(limit=None))


def steps(*lines: str) -> str:
    listed = "".join(f"      - {line}\n" for line in lines)
    return f"name: flow\nproject: shop\nstages:\n  - name: all\n    steps:\n{listed}"


def test_a_run_ends_with_one_entry_of_all_its_decisions_and_a_row_that_is_edited_is_named(shop: Delivery) -> None:
    shop.workflow(steps(*map(ASKING.format, ("one", "two", "three"))))
    done = shop.run()
    assert done.passed, done.failures()
    (entry,) = audited(shop)
    assert (entry.data["run"], entry.data["project"], entry.data["count"]) == (done.run_id, "shop", 3)
    ids = decided(shop)
    assert sorted(entry.data["decisions"]) == ids
    assert "A house" not in str(entry.data)
    with Ledger.open(ledger_url(shop.project.home, {})) as ledger, read(shop) as log:
        assert log.verify().ok
        assert verify_decisions(ledger.engine, log).ok
        changed = "UPDATE maestro_llm_calls SET document = replace(document, 'offline', 'gpt-5') WHERE decision = :id"
        with ledger.engine.begin() as connection:
            connection.execute(sa.text(changed), {"id": ids[1]})
        (found,) = verify_decisions(ledger.engine, log).findings
    assert (found.kind, found.decision, found.entry) == ("edited", ids[1], entry.index)


def test_a_run_that_fails_has_its_entry_too(shop: Delivery) -> None:
    shop.workflow(steps(ASKING.format("one"), "{ run: shell, with: { command: 'false' }, depends_on: [one] }"))
    done = shop.run()
    assert not done.passed
    assert [one.data["count"] for one in audited(shop)] == [1]


def test_a_run_that_asks_nothing_writes_no_entry(shop: Delivery) -> None:
    shop.workflow(steps("{ run: shell, with: { command: 'true' } }"))
    assert shop.run().passed
    assert not (shop.project.home / "audit.db").exists()


def test_a_log_that_refuses_fails_no_run_and_the_next_one_brings_both_there(shop: Delivery) -> None:
    shop.workflow(steps(ASKING.format("one")))
    keys = shop.project.ensure_home() / "keys"
    keys.mkdir(exist_ok=True)
    (keys / "audit.pem").write_text("no key")
    (keys / "audit.pem").chmod(0o600)
    done = shop.run()
    assert done.passed, done.failures()
    assert "is not in the audit log" in done.messages()
    (keys / "audit.pem").unlink()
    shop.workflow(steps(ASKING.format("two")))
    assert shop.run().passed
    assert sorted(id for one in audited(shop) for id in one.data["decisions"]) == decided(shop)


def test_a_conductor_brings_what_ended_a_minute_ago_into_the_server_s_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("SERVERS_DATABASE", request.getfixturevalue("postgres_database"))
    (home / "server.yaml").write_text("database: env:SERVERS_DATABASE\n")
    server = Server(find_server(home, environ={}))
    server.projects.add(RegisteredProject("shop", str(home / "origin"), tenant="acme", provider="git"))
    with Ledger.open(ledger_url(home, {HOME_VARIABLE: str(home)})) as ledger:
        kept = Audited(ledger.engine, home)
        kept.now = datetime.now(UTC)
        kept.call(run=None, minutes=2)
        kept.call(run="lost", minutes=5)
        kept.call(run=None)
        upkeep = ModelUpkeep(server, lambda: True)
        upkeep.look()
        upkeep.look()
        assert sorted(str(one.data["run"]) for one in kept.entries()) == ["None", "lost"]
        assert audit_decisions(server, ledger) == 0
        report = kept.verify()
        assert (report.ok, report.decisions, report.waiting) == (True, 2, 1)
        kept.now += timedelta(hours=3)
        assert [one.kind for one in kept.verify().findings] == ["unaudited"]
