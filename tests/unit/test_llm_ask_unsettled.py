"""`maestro llm ask` when the ledger takes the reservation and not the cost: the answer is shown, and the money told."""

from __future__ import annotations

import gc
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from maestro.ledger.model import Unit
from maestro.llm.errors import Unsettled, UnsettledError
from tests.unit.money_project import MoneyProject, money_project

MODELS = {"models": {"paid": {"provider": "offline", "price": {"input": 10, "output": 30}, "capabilities": ["chat"]}}}
ASK = ("llm", "ask", "hello there", "--model", "paid")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    monkeypatch.setenv("MAESTRO_ACTOR", "ann")
    shop = money_project(tmp_path / "shop")
    (shop.root / "models.yaml").write_text(json.dumps(MODELS), encoding="utf-8")
    assert shop.run(*ASK).code == 0
    return shop


@contextmanager
def no_charges(shop: MoneyProject, event: str = "INSERT ON maestro_ledger_charges") -> Iterator[None]:
    """The database takes no charges meanwhile."""
    refuse = f"CREATE TRIGGER refuse BEFORE {event} BEGIN SELECT RAISE(ABORT, 'it is full'); END"
    for before, statement in ((True, refuse), (False, "DROP TRIGGER refuse")):
        with closing(sqlite3.connect(shop.home / "ledger.db")) as database:
            database.execute(statement)
        if before:
            yield


def test_the_answer_is_there_and_the_exit_code_is_not_0(shop: MoneyProject, caplog: pytest.LogCaptureFixture) -> None:
    with no_charges(shop):
        said = shop.run(*ASK)
    assert (said.code, said.out.splitlines()[-1]) == (1, "- hello there")
    assert re.search(r"^paid: ~\d+ \+ \d+ tokens, \$", said.err, re.M), "model, cost and decision are named as always"
    assert re.search(
        r"what the call cost, \$0\.0\d+ and \d+ tokens, could not be written into the ledger: .*it is full; the most "
        r"it could have cost, \$0\.0\d+ and [\d,]+ tokens, stays charged until that is corrected",
        said.err,
    )
    gc.collect()
    assert not caplog.records, "it is told once, and without a traceback"


def test_json_is_the_answer_alone(shop: MoneyProject) -> None:
    with no_charges(shop):
        said = shop.run(*ASK, "--json")
    assert (said.code, said.json["model"]) == (1, "paid")
    assert "stays charged until that is corrected" in said.err


def test_what_is_told_to_do_corrects_the_charge(shop: MoneyProject) -> None:
    with no_charges(shop):
        said = shop.run(*ASK, "--json")
    told = re.search(r"`maestro (budget adjust (\S+) usd=([\d.]+) --reason) …`", said.err)
    assert told
    with shop.ledger() as ledger:
        (held,) = ledger.reservations([told[2]])
        assert held.state == "sent"
        # What another process finds once this one is gone.
        ledger.expire(held.expires + timedelta(seconds=1))
    assert told[2] in shop.run("budget", "events").out
    assert shop.run(*told[1].split(), "the answer said so").code == 0
    with shop.ledger() as ledger:
        charged = sum(one.amount for one in ledger.charges(unit=Unit.USD, reservation=told[2]))
        assert ledger.check() == []
    assert f"{charged / 1e9:.9f}" == told[3] == said.json["usd"]


def test_where_there_is_no_answer_either_both_are_told(shop: MoneyProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-nobody")
    nobody = {"provider": "openai", "api_base": "http://127.0.0.1:9/v1", "price": {"input": 10, "output": 30}}
    (shop.root / "models.yaml").write_text(json.dumps({"models": {"paid": nobody}}), encoding="utf-8")
    with no_charges(shop, "UPDATE ON maestro_ledger_reservations"):
        said = shop.run(*ASK)
    assert (said.code, said.out) == (1, "")
    assert "what the call cost, $0.00 and 0 tokens, could not be written into the ledger" in said.err
    corrections = r"correct it by (`maestro budget adjust dec_\w+\.\d usd=0\.0+ --reason …`(; |$)){3}"
    assert re.search(rf"^  next: .*{corrections}", said.err, re.M), "one for each of three tries"
    assert "no model answered: paid: " in said.err


def test_where_no_model_could_be_asked_nothing_is_said_of_the_audit_log(shop: MoneyProject) -> None:
    (shop.home / "ledger.db").unlink()
    said = shop.run(*ASK)
    assert (said.code, said.out) == (1, "")
    assert "the ledger" in said.err
    assert "audit log" not in said.err


def test_of_a_ledger_that_is_gone_no_charge_is_promised() -> None:
    most = {Unit.USD: 5 * 10**6, Unit.TOKENS: 500}
    lost = Unsettled(
        "dec_1.1", {Unit.USD: 10**6, Unit.TOKENS: 90}, most, "ledger.db: the ledger is gone", "restore it", True
    )
    error = UnsettledError([lost])
    assert error.what.endswith(
        "could not be written into the ledger: ledger.db: the ledger is gone; no budget counts it"
    )
    assert error.next_step == "restore it"


def test_all_calls_of_one_request_are_added_up_and_corrected_one_by_one() -> None:
    most = {Unit.USD: 5 * 10**6, Unit.TOKENS: 500}
    failed = Unsettled("dec_1.1", {}, most, "it is full", "make room")
    free = Unsettled("dec_1.2", {Unit.USD: 0, Unit.TOKENS: 90}, {Unit.USD: 0, Unit.TOKENS: 300}, "it is full")
    error = UnsettledError([failed, free])
    assert "what the call cost, $0.00 and 90 tokens" in error.what
    assert "$0.005 and 800 tokens, stays charged" in error.what
    assert error.next_step == (
        "make room; then `maestro budget events` lists it as assumed; correct it by `maestro budget adjust dec_1.1 "
        "usd=0.000000000 --reason …`; `maestro budget adjust dec_1.2 tokens=90 --reason …`"
    )
