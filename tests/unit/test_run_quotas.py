"""Runs, minutes and gigabytes of a project are counted once, and refused when they are used up."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from maestro.execution.quotas import RunQuotas
from maestro.execution.request import RunIdentity
from maestro.execution.session import RunSession
from maestro.ledger.model import Attribution, BudgetExceededError, Scope, Unit
from maestro.ledger.store import Ledger
from maestro.project import Project
from maestro.workflow.budget import Amounts, Budget

MONTH = Budget(month=Amounts(runs=2))

DIES = """
import os, sys
from maestro.ledger.model import Attribution, Unit
from maestro.ledger.store import Ledger
ledger = Ledger.open(sys.argv[1])
for id in ("asked", "planned"):
    ledger.reserve(id, Attribution("acme", "shop", run="lost"), {Unit.USD: 1000})
ledger.sent("asked")
os._exit(0)
"""


@dataclass
class Place:
    """A project's state folder, and sessions of its runs as far as quotas look at them."""

    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    def session(self, run: str = "run-1", *, budget: Budget | None = None, root: str = "") -> RunSession:
        made = SimpleNamespace(
            identity=RunIdentity(run, root or run, tenant="acme", pull_request=7),
            project_name="shop",
            project=Project(self.home.parent, self.home.parent / "maestro.yaml", self.home),
            loaded=SimpleNamespace(workflow=SimpleNamespace(budget=budget)),
            environ=self.environ,
        )
        return cast(RunSession, made)

    def begun(self, run: str = "run-1", *, budget: Budget | None = MONTH, root: str = "", **more: Any) -> RunQuotas:
        quotas = RunQuotas(self.session(run, budget=budget, root=root))
        quotas.begin(**more)
        return quotas

    def charged(self, unit: Unit) -> list[int]:
        with Ledger.open(f"sqlite:///{self.home / 'ledger.db'}") as ledger:
            assert ledger.check() == []
            return [one.amount for one in ledger.charges(unit=unit.value, tenant="acme", project="shop")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / ".maestro")


def record(seconds: float = 0.0, size: int = 0, cache: str = "miss") -> Any:
    return SimpleNamespace(cache=cache, seconds=seconds, outputs=[SimpleNamespace(size=size)])


def test_without_a_budget_and_without_a_ledger_nothing_is_counted(place: Place) -> None:
    quotas = place.begun(budget=None)
    quotas.add(record(100.0, 100))
    assert quotas.end() is None
    assert not (place.home / "ledger.db").exists()


def test_where_there_is_a_ledger_runs_are_counted_without_a_budget_too(place: Place) -> None:
    place.begun()
    place.begun("run-2", budget=None)
    assert place.charged(Unit.RUNS) == [1, 1]


def test_a_run_is_counted_once_with_its_processes_and_all_that_resume_it(place: Place) -> None:
    place.begun()
    place.begun()
    place.begun("run-2", root="run-1")
    assert place.charged(Unit.RUNS) == [1]


def test_a_run_first_takes_back_what_a_caller_that_died_had_reserved(place: Place) -> None:
    place.home.mkdir()
    url = f"sqlite:///{place.home / 'ledger.db'}"
    subprocess.run([sys.executable, "-c", DIES, url], check=True, timeout=60)
    with Ledger.open(url) as ledger:
        assert [one.id for one in ledger.reservations()] == ["asked", "planned"]
    place.begun(budget=None)
    with Ledger.open(url) as ledger:
        assert ledger.reservations() == []
        states = {one.id: one.state for one in ledger.reservations(["asked", "planned"])}
        assert states == {"asked": "assumed", "planned": "released"}
    assert place.charged(Unit.USD) == [1000]


def test_when_runs_are_used_up_the_next_one_is_refused_and_says_who_can_raise_it(place: Place) -> None:
    place.begun("run-1")
    place.begun("run-2")
    with pytest.raises(BudgetExceededError, match="is 2 runs: 2 runs are spent") as refused:
        place.begun("run-3")
    assert "raise `budget.month` in maestro.yaml" in str(refused.value)
    assert place.charged(Unit.RUNS) == [1, 1]


def test_what_ends_a_run_is_refused_by_no_quota(place: Place) -> None:
    used = Budget(month=Amounts(runs=0), run=Amounts(minutes=0))
    quotas = place.begun(budget=used, refuse=False)
    quotas.check()
    quotas.add(record(60.0))
    quotas.check()
    assert quotas.end() is None
    assert place.charged(Unit.MINUTES) == [60]


def test_seconds_and_bytes_are_added_up_and_what_came_from_the_cache_is_not(place: Place) -> None:
    quotas = place.begun()
    quotas.add(record(0.6, 1000))
    quotas.add(record(0.6, 24))
    quotas.add(record(90.0, 5000, cache="hit"))
    assert quotas.end() is None
    assert (place.charged(Unit.MINUTES), place.charged(Unit.GIGABYTES)) == ([1], [1024])


def test_each_process_of_a_run_adds_its_own_share(place: Place) -> None:
    for size in (1000, 24):
        quotas = place.begun()
        quotas.add(record(size=size))
        assert quotas.end() is None
    assert place.charged(Unit.GIGABYTES) == [1000, 24]


@pytest.mark.parametrize(
    ("budget", "used", "said"),
    [
        (Budget(run=Amounts(minutes=1)), record(60.0), r"run:run-1 is 1\.0 minutes: 1\.0 minutes are spent"),
        (
            Budget(pull_request=Amounts(gigabytes=1)),
            record(size=2 * 10**9),
            r"pull_request:acme/shop#7 is 1\.00 GB: 2\.00 GB are spent",
        ),
    ],
)
def test_no_further_step_begins_when_minutes_or_gigabytes_are_used_up(
    place: Place, budget: Budget, used: Any, said: str
) -> None:
    quotas = place.begun(budget=budget)
    quotas.check()
    quotas.add(used)
    with pytest.raises(BudgetExceededError, match=said):
        quotas.check()


def test_what_was_used_beyond_a_limit_is_charged_and_refuses_the_next_run(place: Place) -> None:
    budget = Budget(pull_request=Amounts(minutes=1))
    quotas = place.begun(budget=budget)
    quotas.add(record(90.0))
    assert quotas.end() is None
    assert place.charged(Unit.MINUTES) == [90]
    with pytest.raises(BudgetExceededError, match="pull_request:acme/shop#7"):
        place.begun("run-2", budget=budget)
    with Ledger.open(f"sqlite:///{place.home / 'ledger.db'}") as ledger:
        crossed = [(str(one.scope), one.level) for one in ledger.crossings()]
    assert crossed == [("pull_request:acme/shop#7", level) for level in (80, 95, 100)]


def test_a_person_s_limit_counts_where_the_workflow_has_none(place: Place) -> None:
    place.home.mkdir()
    with Ledger.open(f"sqlite:///{place.home / 'ledger.db'}") as ledger:
        ledger.set_limit(Scope("tenant", "acme"), Unit.RUNS, 0, actor="boss", reason="over")
        assert Attribution("acme", "shop").scopes()[0] == Scope("tenant", "acme")
    with pytest.raises(BudgetExceededError, match="maestro budget set tenant:acme"):
        place.begun(budget=None)


def test_a_ledger_that_is_away_at_the_end_is_told_and_fails_nothing(place: Place) -> None:
    quotas = place.begun()
    quotas.add(record(60.0))
    (place.home / "ledger.db").write_text("no database at all, but long enough to be looked at" * 30)
    problem = quotas.end()
    assert problem is not None
    assert "could not be written into the ledger" in problem


def test_a_ledger_that_is_away_at_the_beginning_lets_no_run_begin(place: Place) -> None:
    place.home.mkdir()
    (place.home / "ledger.db").write_text("no database at all, but long enough to be looked at" * 30)
    with pytest.raises(Exception, match="database"):
        place.begun(budget=None)
