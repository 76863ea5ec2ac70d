"""``maestro llm drift`` and ``maestro llm fairness``: tables a newcomer understands, and data for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.kept_calls import keep_calls
from tests.unit.money_project import MoneyProject, money_project


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    made = money_project(tmp_path / "shop")
    made.home.mkdir(exist_ok=True)
    return made


def test_what_drifted_is_a_row_with_the_value_before_and_what_would_be_usual(shop: MoneyProject) -> None:
    with shop.ledger() as ledger:
        keep_calls(ledger, datetime.now(UTC), last_cost=2.0)
    said = shop.run("llm", "drift", "--since", "1d")
    assert said.code == 0, said.err
    assert "24 calls since" in said.out
    assert "compared with 28 days of the 4 weeks before that had 20 calls or more" in said.out
    (row,) = [line for line in said.out.splitlines() if line.startswith("cost ")]
    assert row.split()[:4] == ["cost", "big", "$0.00201", "$0.001"]
    assert "cost: what a call costs" in said.out
    (alert,) = shop.run("llm", "drift", "--since", "1d", "--json").json["alerts"]
    assert (alert["metric"], alert["subject"], alert["calls"]) == ("cost", "big", 24)
    assert alert["low"] < alert["before"] < alert["high"] < alert["value"]


def test_where_nothing_drifted_it_says_so(shop: MoneyProject) -> None:
    with shop.ledger() as ledger:
        keep_calls(ledger, datetime.now(UTC), days=36)
    assert "nothing is out of line" in shop.run("llm", "drift").out


def test_where_there_is_too_little_to_compare_it_says_how_much_it_takes(shop: MoneyProject) -> None:
    said = shop.run("llm", "drift")
    assert (said.code, "0 calls since" in said.out) == (0, True)
    assert "too little to compare: it takes 20 calls since then, and 7 such days before" in said.out
    assert shop.run("llm", "drift", "--json").json["alerts"] == []


@pytest.mark.parametrize("command", ["drift", "fairness"])
def test_a_time_that_is_none_is_told(shop: MoneyProject, command: str) -> None:
    said = shop.run("llm", command, "--since", "yesterday")
    assert (said.code, "'yesterday' is no time" in said.err) == (2, True)


def test_a_time_too_short_to_compare_is_told(shop: MoneyProject) -> None:
    said = shop.run("llm", "drift", "--since", "0h")
    assert (said.code, "from 1 hour to 92 days" in said.err) == (2, True)


def test_fairness_names_the_tenant_that_is_worse_off(shop: MoneyProject) -> None:
    with shop.ledger() as ledger:
        keep_calls(ledger, datetime.now(UTC), whose=("poor", "app"), days=3, failed=12)
        keep_calls(ledger, datetime.now(UTC), whose=("rich", "app"), days=3)
    said = shop.run("llm", "fairness")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[1].split()[:5] == ["poor", "72", "0", "36", "50.0%"]
    assert lines[1].endswith("worse off")
    assert lines[-1] == "worse off than the others by more than chance explains: poor"
    tenants = shop.run("llm", "fairness", "--json").json["tenants"]
    assert [(one["tenant"], one["worse"]) for one in tenants] == [("poor", True), ("rich", False)]


def test_one_tenant_alone_has_nobody_to_be_compared_with(shop: MoneyProject) -> None:
    assert "no call has ended since" in shop.run("llm", "fairness").out
    with shop.ledger() as ledger:
        keep_calls(ledger, datetime.now(UTC), days=2)
    assert "48 calls of one tenant: there is nobody to compare it with" in shop.run("llm", "fairness").out
