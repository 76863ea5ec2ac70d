"""``maestro budget``: what it shows, sets, corrects and writes, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from maestro.ledger.model import NANO, Attribution, Scope, Unit
from tests.unit.money_project import MoneyProject, money_project

NOW = datetime.now(UTC)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    monkeypatch.setenv("MAESTRO_ACTOR", "ann")
    return money_project(tmp_path / "shop")


def assumed(shop: MoneyProject, id: str = "lost", usd_nano: int = NANO) -> None:
    """A call whose process died after it had asked."""
    with shop.ledger() as ledger:
        ledger.reserve(id, Attribution("local", "shop", 7), {Unit.USD: usd_nano}, lease=0.001, sent=True)
        ledger.expire(datetime.now(UTC) + timedelta(days=1))


def test_where_nothing_was_spent_that_is_said(shop: MoneyProject) -> None:
    said = shop.run("budget", "show")
    assert said.code == 0
    assert "nothing was spent and no budget was set" in said.out


def test_what_was_spent_is_shown_with_what_is_left(shop: MoneyProject) -> None:
    shop.spend(2 * NANO + NANO // 2)
    lines = shop.run("budget", "show").out.splitlines()
    (line,) = [one for one in lines if one.startswith("pull_request:local/shop#7") and " usd " in one]
    assert line.split() == ["pull_request:local/shop#7", "usd", "$10.00", "$2.50", "$0.00", "$7.50", "25%", "default"]


def test_json_has_exact_amounts(shop: MoneyProject) -> None:
    shop.spend(1)
    (balance,) = [
        one for one in shop.run("budget", "show", "pull_request:7", "--json").json["balances"] if one["unit"] == "usd"
    ]
    assert (balance["scope"], balance["spent"], balance["left"]) == (
        "pull_request:local/shop#7",
        "0.000000001",
        "9.999999999",
    )
    assert balance["whole"]["spent"] == 1


def test_a_budget_that_was_set_holds_and_is_audited(shop: MoneyProject) -> None:
    said = shop.run("budget", "set", "pull_request:7", "usd=10.50", "tokens=200k", "--reason", "a large migration")
    assert said.out == "pull_request:local/shop#7: usd $10.50, tokens 200,000 tokens, by ann\n"
    with shop.ledger() as ledger:
        scope = Scope("pull_request", "local/shop#7")
        assert ledger.balance(scope, Unit.USD).limit == 10_500_000_000
        assert ledger.balance(scope, Unit.TOKENS).limit == 200_000
    (row,) = [one for one in shop.audited() if one["kind"] == "budget.set"]
    assert (row["actor"], row["object"]) == ("ann", "pull_request:local/shop#7")
    assert row["data"] == {
        "amounts": {"usd": "$10.50", "tokens": "200,000 tokens"},
        "reason": "a large migration",
    }


def test_a_budget_can_be_lifted_and_given_back_to_the_default(shop: MoneyProject) -> None:
    scope = Scope("pull_request", "local/shop#7")
    shop.run("budget", "set", "pull_request:7", "usd=unlimited", "--reason", "r")
    with shop.ledger() as ledger:
        assert ledger.balance(scope, Unit.USD).limit is None
    shop.run("budget", "set", "pull_request:7", "usd=default", "--reason", "r")
    with shop.ledger() as ledger:
        assert ledger.balance(scope, Unit.USD).limit == 10 * NANO


def test_a_budget_below_what_was_spent_says_so(shop: MoneyProject) -> None:
    shop.spend(3 * NANO)
    said = shop.run("budget", "set", "project", "usd=2", "--reason", "enough")
    assert "it is used by 100 % and more: $3.00 of $2.00" in said.out


def test_what_is_no_scope_or_no_amount_is_refused_and_nothing_set(shop: MoneyProject) -> None:
    scope = shop.run("budget", "set", "projekt:acme/app", "usd=1", "--reason", "r")
    assert (scope.code, "did you mean 'project'?" in scope.err) == (2, True)
    amount = shop.run("budget", "set", "project", "uds=1", "--reason", "r")
    assert (amount.code, "did you mean 'usd'?" in amount.err) == (2, True)
    with shop.ledger() as ledger:
        assert ledger.limits() == []


def test_without_a_reason_nothing_is_set(shop: MoneyProject) -> None:
    assert "missing option '--reason'" in shop.run("budget", "set", "project", "usd=1").err
    assert "no reason is given" in shop.run("budget", "set", "project", "usd=1", "--reason", " ").err
    with shop.ledger() as ledger:
        assert ledger.limits() == []


def test_what_cannot_be_audited_is_not_set(shop: MoneyProject) -> None:
    shop.home.mkdir()
    (shop.home / "audit.db").write_text("this is no database")
    said = shop.run("budget", "set", "project", "usd=1", "--reason", "r")
    assert said.code != 0
    with shop.ledger() as ledger:
        assert ledger.limits() == []


def test_a_scope_nobody_knows_is_answered_with_the_nearest(shop: MoneyProject) -> None:
    shop.spend(1)
    said = shop.run("budget", "show", "project:local/shob")
    assert said.code == 2
    assert "did you mean 'project:local/shop'" in said.err


def test_every_row_of_the_export_is_attributed_and_their_sums_are_the_balances(shop: MoneyProject) -> None:
    for number in range(12):
        shop.spend(
            NANO // 7 + number,
            id=f"call-{number}",
            model=f"model-{number % 3}",
            pull_request=number % 2,
            step=f"step-{number % 4}",
        )
    assumed(shop, "lost", 5 * NANO // 3)
    assert shop.run("budget", "adjust", "lost", "usd=0.25", "--reason", "as billed").code == 0
    rows = list(csv.DictReader(io.StringIO(shop.run("budget", "export").out)))
    assert all(row["tenant"] and row["project"] and row["pull_request"] for row in rows)
    shown = {(one["scope"], one["unit"]): one for one in shop.run("budget", "show", "--all", "--json").json["balances"]}
    checked = 0
    for (scope, unit), balance in shown.items():
        mine = [row for row in rows if row["unit"] == unit and _in(row, scope)]
        assert sum((Decimal(row["amount"]) for row in mine), Decimal(0)) == Decimal(balance["spent"]), scope
        assert sum(int(row["whole"]) for row in mine) == balance["whole"]["spent"], scope
        checked += 1
    assert checked > 10
    lines = [json.loads(one) for one in shop.run("budget", "export", "--format", "jsonl").out.splitlines()]
    assert [one["amount"] for one in lines] == [row["amount"] for row in rows]


def _in(row: dict[str, str], scope: str) -> bool:
    kind, _, name = scope.partition(":")
    name, _, month = name.partition("@")
    if month and month != row["month"]:
        return False
    project = f"{row['tenant']}/{row['project']}"
    own = {
        "tenant": row["tenant"],
        "project": project,
        "pull_request": f"{project}#{row['pull_request']}",
        "run": row["run"],
        "step": f"{row['run']}/{row['step']}",
    }
    return own[kind] == name


def test_sums_can_be_exported_in_place_of_charges(shop: MoneyProject, tmp_path: Path) -> None:
    shop.spend(NANO, id="a")
    shop.spend(NANO, id="b", model="other")
    file = tmp_path / "sums.csv"
    said = shop.run("budget", "export", "--by", "project", "--by", "model", "--output", str(file))
    assert said.out == f"wrote {file}: 5 lines\n"
    rows = list(csv.DictReader(file.open(newline="")))
    assert {(row["model"], row["amount"]) for row in rows if row["unit"] == "usd"} == {
        ("grand", "1.000000000"),
        ("other", "1.000000000"),
    }


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--month", "2026-13"], "'2026-13' is no month"),
        (["--by", "colour"], "cannot be summed by 'colour'"),
        (["--output", "/no/such/folder/file"], "the file cannot be written"),
    ],
)
def test_an_export_that_cannot_be_made_is_refused(shop: MoneyProject, arguments: list[str], what: str) -> None:
    said = shop.run("budget", "export", *arguments)
    assert said.code == 2
    assert what in said.err


def test_thresholds_and_assumed_charges_are_events(shop: MoneyProject) -> None:
    shop.run("budget", "set", "pull_request:7", "usd=1", "--reason", "r")
    shop.spend(NANO * 9 // 10)
    assert shop.run("budget", "events").out.count("80 %: the cheaper candidate is preferred") == 1
    shop.run("budget", "set", "pull_request:7", "usd=10", "--reason", "r")
    assumed(shop)
    said = shop.run("budget", "events")
    assert "assumed, its caller died: lost" in said.out
    found = shop.run("budget", "events", "--json").json
    assert [one["level"] for one in found["events"]] == [80]
    assert [one["reservation"] for one in found["assumed"]] == ["lost"]


def test_thresholds_of_one_moment_are_listed_in_their_order(shop: MoneyProject) -> None:
    shop.run("budget", "set", "pull_request:7", "usd=1", "--reason", "r")
    shop.spend(NANO)
    levels = [
        line.split(" %:")[0].split()[-1] for line in shop.run("budget", "events").out.splitlines() if "%:" in line
    ]
    assert levels == ["80", "95", "100"]
    found = shop.run("budget", "events", "--json").json["events"]
    assert [one["level"] for one in found] == [80, 95, 100]


def test_an_assumed_charge_is_corrected_once_it_is_known_and_audited(shop: MoneyProject) -> None:
    assumed(shop)
    said = shop.run("budget", "adjust", "lost", "usd=0.25", "--reason", "as billed")
    assert said.out == "lost: $0.25 in place of $1.00\n"
    with shop.ledger() as ledger:
        assert ledger.balance(Scope("project", "local/shop"), Unit.USD).spent == NANO // 4
    (row,) = [one for one in shop.audited() if one["kind"] == "budget.adjusted"]
    assert (row["object"], row["data"]["reason"]) == ("lost", "as billed")


def test_a_settled_charge_is_corrected_and_audited_too(shop: MoneyProject) -> None:
    shop.spend(NANO, id="settled-call")
    said = shop.run("budget", "adjust", "settled-call", "usd=0.25", "--reason", "as billed")
    assert said.out == "settled-call: $0.25 in place of $1.00\n"
    assert [one["object"] for one in shop.audited() if one["kind"] == "budget.adjusted"] == ["settled-call"]
    assert shop.run("budget", "check").code == 0


def test_what_is_not_charged_is_not_corrected(shop: MoneyProject) -> None:
    with shop.ledger() as ledger:
        ledger.reserve("held", Attribution("local", "shop", 7), {Unit.USD: 1})
    assumed(shop)
    wrong = shop.run("budget", "adjust", "held", "usd=0", "--reason", "r")
    assert (wrong.code, "there is no charge to be corrected" in wrong.err) == (2, True)
    unknown = shop.run("budget", "adjust", "losd", "usd=0", "--reason", "r")
    assert "there is no reservation 'losd'" in unknown.err
    assert "did you mean 'lost'?" in unknown.err


def test_a_balanced_ledger_is_said_to_be_so(shop: MoneyProject) -> None:
    shop.spend(1)
    assert shop.run("budget", "check").out == "balanced; 0 reservations open\n"


def test_a_ledger_that_does_not_add_up_is_told_with_exit_code_1(shop: MoneyProject) -> None:
    import sqlite3

    shop.spend(NANO)
    with sqlite3.connect(shop.home / "ledger.db") as connection:
        connection.execute("UPDATE maestro_ledger_sums SET spent = spent + 1 WHERE scope LIKE 'run:%' AND unit = 'usd'")
    connection.close()
    said = shop.run("budget", "check")
    assert said.code == 1
    assert "run:run-1: spent usd is 1000000001, and adds up to 1000000000" in said.out
    found: Any = shop.run("budget", "check", "--json").json
    assert found["balanced"] is False


def test_a_forecast_from_nothing_says_that_it_is_none(shop: MoneyProject) -> None:
    shop.spend(NANO)
    said = shop.run("budget", "forecast")
    assert "project:local/shop: $1.00 so far" in said.out
    assert "too little data for a forecast" in said.out
    assert shop.run("budget", "forecast", "--json").json["likely"] is None


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["run:x"], "there is no forecast of run:x"),
        (["project@month"], "no single scope"),
        (["tenant:*"], "no single scope"),
        (["--unit", "euro"], "'euro' is no unit"),
    ],
)
def test_a_forecast_of_what_has_no_months_is_refused(shop: MoneyProject, arguments: list[str], what: str) -> None:
    said = shop.run("budget", "forecast", *arguments)
    assert said.code == 2
    assert what in said.err


def test_outside_of_a_project_and_without_a_server_there_is_no_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    said = MoneyProject(tmp_path).run("budget", "show")
    assert said.code == 2
    assert "not inside a git repository" in said.err


def test_a_server_s_budgets_are_those_of_its_home(shop: MoneyProject, tmp_path: Path) -> None:
    home = tmp_path / "server"
    said = shop.run("budget", "set", "tenant:acme@*", "usd=100", "--reason", "agreed", "--server-home", str(home))
    assert said.code == 0, said.err
    assert (home / "ledger.db").exists()
    assert not (shop.home / "ledger.db").exists()
    shown = shop.run("budget", "show", "--server-home", str(home), "--json").json
    assert [(one["scope"], one["limit"]) for one in shown["limits"]] == [("tenant:acme@*", "100.000000000")]
    log = shop.run(
        *("audit", "show", "--json", "--db", f"sqlite:///{home / 'audit.db'}"),
        *("--key", str(home / "keys" / "audit.pem.pub")),
    )
    assert [one["kind"] for one in log.json["entries"]] == ["budget.set"]


def test_a_ledger_that_a_commit_brought_is_not_believed(shop: MoneyProject) -> None:
    assert shop.run("budget", "set", "project", "usd=100000", "--reason", "mine").code == 0
    for words in (["add", "--force", ".maestro/ledger.db"], ["commit", "-q", "-m", "more money"]):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words], cwd=shop.root, check=True
        )
    for words in (["budget", "show"], ["llm", "ask", "hello"], ["llm", "tokens", "list"]):
        said = shop.run(*words)
        assert said.code != 0
        assert "'.maestro/ledger.db' is in git" in said.err


BUDGET = "budget: {step: 0.5, run: {usd: 2, tokens: 400000}, pull_request: 5, month: {usd: 200}}\n"


def granting(shop: MoneyProject, text: str = BUDGET) -> None:
    file = shop.root / "maestro.yaml"
    file.write_text(file.read_text() + text)


def test_what_the_workflow_grants_each_step_run_pull_request_and_month_is_shown_as_the_workflows(
    shop: MoneyProject,
) -> None:
    granting(shop)
    lines = [" ".join(one.split()) for one in shop.run("budget", "show").out.splitlines()]
    told = "the workflow budget in maestro.yaml; the lower limit counts"
    for each in ("each step $0.50", "each run $2.00", "each run 400,000 tokens", "each pull request $5.00"):
        assert f"{each} {told}" in lines
    assert f"each month $200.00 {told}" in lines
    found = shop.run("budget", "show", "--json").json["workflow"]
    assert {"for": "each run", "unit": "tokens", "limit": "400000"} in found


def test_the_workflows_limits_hold_for_the_scopes_that_are_listed(shop: MoneyProject) -> None:
    granting(shop)
    shop.spend(NANO)
    rows = {(one["scope"], one["unit"]): one for one in shop.run("budget", "show", "--all", "--json").json["balances"]}
    limits = {scope: (one["limit"], one["source"]) for (scope, unit), one in rows.items() if unit == "usd"}
    assert limits["run:run-1"] == ("2.000000000", "workflow")
    assert limits["step:run-1/review"] == ("0.500000000", "workflow")
    assert limits["pull_request:local/shop#7"] == ("5.000000000", "workflow")
    assert limits[f"project:local/shop@{NOW:%Y-%m}"] == ("200.000000000", "workflow")
    assert limits["project:local/shop"][0] is None
    assert limits["tenant:local"][0] is None


def test_a_lower_limit_that_was_set_stays_the_one_that_is_shown(shop: MoneyProject) -> None:
    granting(shop)
    shop.run("budget", "set", "pull_request:7", "usd=3", "--reason", "r")
    (balance,) = shop.run("budget", "show", "pull_request:7", "--json").json["balances"]
    assert (balance["limit"], balance["source"]) == ("3.000000000", "ann")


def test_a_workflow_with_mistakes_does_not_hide_what_was_spent(shop: MoneyProject) -> None:
    shop.spend(NANO)
    granting(shop, "budgit: 1\n")
    said = shop.run("budget", "show")
    assert said.code == 0
    assert "pull_request:local/shop#7" in said.out
    assert "the budget of maestro.yaml is not known, since it has mistakes: see `maestro plan`" in said.out
