"""Runs, steps, models and routes as people name them where calls of models and budgets are listed."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maestro.ledger.model import NANO, Attribution, Scope, Unit
from maestro.ledger.store import Ledger
from maestro.llm.decisions import DecisionStore, Outcome
from tests.unit.llm_world import ask
from tests.unit.money_project import MoneyProject, money_project

FIRST, SECOND = "3fa90000-0000-4000-8000-000000000001", "3fb90000-0000-4000-8000-000000000002"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    """Two runs that asked a model each, and spent a dollar each."""
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    made = money_project(tmp_path / "shop")
    made.run("budget", "show")
    with made.ledger() as ledger:
        asked(ledger)
    return made


def asked(ledger: Ledger) -> None:
    store = DecisionStore(ledger.engine)
    for number, run in enumerate((FIRST, SECOND)):
        who = Attribution("local", "shop", None, run, "all/review", "ann")
        at = datetime(2026, 11, 1 + number, tzinfo=UTC)
        decision = dataclasses.replace(ask("big"), id=f"dec_{number}", at=at, attribution=who)
        store.keep(decision, Outcome(decision.id, at, "answered", "big", "openai"))
        ledger.reserve(decision.id, who, {Unit.USD: NANO})
        ledger.sent(decision.id)
        ledger.settle(decision.id, {Unit.USD: NANO}, model="big", provider="openai", decision=decision.id)


@pytest.mark.parametrize("run", ["3fa9", FIRST[:8], FIRST])
def test_decisions_of_a_run_are_found_by_its_whole_id_and_by_how_that_begins(shop: MoneyProject, run: str) -> None:
    found = shop.run("llm", "decisions", "--run", run, "--json").json["decisions"]
    assert [one["id"] for one in found] == ["dec_0"]


@pytest.mark.parametrize("scope", ["run:3fa9", "step:3fa9/all/review"])
def test_a_budget_of_a_run_or_a_step_is_found_by_how_the_runs_id_begins(shop: MoneyProject, scope: str) -> None:
    whole = scope.replace("3fa9", FIRST)
    balances = shop.run("budget", "show", scope, "--json").json["balances"]
    assert [(one["scope"], one["spent"]) for one in balances if one["unit"] == "usd"] == [(whole, "1.000000000")]
    assert shop.run("budget", "set", scope, "usd=2", "--reason", "x").out.startswith(f"{whole}: usd $2.00")


def test_a_run_that_has_a_limit_and_spent_nothing_is_found_by_how_its_id_begins(shop: MoneyProject) -> None:
    later = "4fa90000-0000-4000-8000-000000000003"
    with shop.ledger() as ledger:
        ledger.set_limit(Scope("run", later), Unit.USD, NANO, actor="ann", reason="x")
        ledger.set_limit(Scope("run", "*"), Unit.USD, 9 * NANO, actor="ann", reason="x")
    shown = shop.run("budget", "show", "run:4fa9", "--json")
    assert [(one["scope"], one["limit"]) for one in shown.json["balances"]] == [(f"run:{later}", "1.000000000")]
    assert "there is no run '*'" in shop.run("llm", "decisions", "--run", "*").err


@pytest.mark.parametrize(
    "command", [["llm", "decisions", "--run", "3f"], ["budget", "show", "run:3f"], ["budget", "show", "step:3f/a"]]
)
def test_a_beginning_of_several_runs_is_refused_with_them(shop: MoneyProject, command: list[str]) -> None:
    said = shop.run(*command)
    assert said.code == 2
    assert f"2 runs begin with '3f': {FIRST[:12]}, {SECOND[:12]}" in said.err
    assert "next: give more characters of the id" in said.err


@pytest.mark.parametrize("run", ["zzz", NOBODY])
@pytest.mark.parametrize("command", [["llm", "decisions", "--run", "{}"], ["budget", "show", "run:{}"]])
def test_a_run_that_is_none_is_refused(shop: MoneyProject, command: list[str], run: str) -> None:
    said = shop.run(*(one.format(run) for one in command))
    assert said.code == 2
    assert f"there is no run '{run}'" in said.err
    assert "next: list the runs with `maestro status`" in said.err


def test_a_run_that_is_there_and_asked_no_model_is_said_to_have_asked_none(shop: MoneyProject) -> None:
    assert shop.run("run").code == 0
    said = shop.run("llm", "decisions", "--run", "latest")
    assert (said.code, said.out.endswith(" asked no model\n")) == (0, True)


@pytest.mark.parametrize(
    ("option", "name", "told", "hint"),
    [
        ("--model", "bigg", "there is no model 'bigg'", "did you mean 'big'"),
        ("--route", "local-onl", "there is no route 'local-onl'", "did you mean 'local-only'?"),
        ("--step", "all/revie", "no call was of a step 'all/revie'", "did you mean 'all/review'?"),
        ("--step", "review", "no call was of a step 'review'", "did you mean 'all/review'?"),
        ("--step", "zzzzzz", "no call was of a step 'zzzzzz'", "leave --step out to see which there are"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(
    shop: MoneyProject, option: str, name: str, told: str, hint: str
) -> None:
    said = shop.run("llm", "decisions", option, name)
    assert said.code == 2
    assert told in said.err
    assert f"next: {hint}" in said.err


def test_a_model_or_route_of_the_catalogue_that_nobody_asked_is_no_mistake(shop: MoneyProject) -> None:
    for option, name in (("--model", "grand"), ("--route", "local-only")):
        said = shop.run("llm", "decisions", option, name)
        assert (said.code, said.out) == (0, "no such call\n")


def test_on_a_server_a_run_is_found_among_those_that_asked(shop: MoneyProject, tmp_path: Path) -> None:
    server = ("--server-home", str(tmp_path / "server"))
    assert shop.run("budget", "show", *server).code == 0
    assert "no run has asked a model yet" in shop.run("llm", "decisions", "--run", "latest", *server).err
    with Ledger.open(f"sqlite:///{tmp_path / 'server' / 'ledger.db'}") as ledger:
        asked(ledger)
    for run, id in (("3fa9", "dec_0"), ("latest", "dec_1")):
        found = shop.run("llm", "decisions", "--run", run, "--json", *server).json["decisions"]
        assert [one["id"] for one in found] == [id]
    assert "there is no run 'zzz'" in shop.run("budget", "show", "run:zzz", *server).err
