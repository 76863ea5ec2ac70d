"""A run tells, in its summary, which of its budgets passed a threshold meanwhile; there is no conductor to do so."""

from __future__ import annotations

import io
from pathlib import Path

from maestro.cli.crossed import look
from maestro.cli.options import GlobalOptions
from maestro.cli.summary import show_summary
from maestro.cli.terminal import Terminal
from maestro.ledger.model import Attribution, Scope, Unit
from maestro.ledger.operations import Settle
from maestro.ledger.store import Ledger
from maestro.runs import RunView

MINE = Attribution("local", "shop", run="run-1", step="all/ask")
CENT = 10_000_000


def ledger(home: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{home / 'ledger.db'}")


def spend(home: Path, who: Attribution, id: str, cents: int) -> None:
    with ledger(home) as opened:
        opened.reserve(id, who, {Unit.USD: cents * CENT})
        opened.settle(id, {Unit.USD: cents * CENT})


def limit(home: Path, scope: Scope, cents: int) -> None:
    with ledger(home) as opened:
        opened.set_limit(scope, Unit.USD, cents * CENT, actor="ann", reason="a trial")


def test_without_a_ledger_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert look(tmp_path, {}).told("local", "shop", "run-1") == ()
    assert list(tmp_path.iterdir()) == []


def test_budgets_of_project_run_and_step_that_passed_a_threshold_are_told_once_each(tmp_path: Path) -> None:
    limit(tmp_path, Scope("project", "local/shop"), 100)
    limit(tmp_path, Scope("step", "run-1/all/ask"), 90)
    looked = look(tmp_path, {})
    spend(tmp_path, MINE, "a", 85)
    told = looked.told("local", "shop", "run-1")
    assert told == (
        "the budget of project:local/shop is used by 80 %: $0.85 of $1.00; "
        "cheaper models of a route are preferred from now on",
        "the budget of step:run-1/all/ask is used by 80 %: $0.85 of $0.90; "
        "cheaper models of a route are preferred from now on",
    )
    assert looked.told("local", "shop", "run-1") == told
    assert look(tmp_path, {}).told("local", "shop", "run-1") == ()


def test_what_others_crossed_meanwhile_is_not_this_run_s_to_tell(tmp_path: Path) -> None:
    limit(tmp_path, Scope("project", "local/other"), 10)
    limit(tmp_path, Scope("run", "run-2"), 10)
    limit(tmp_path, Scope("step", "run-10/all/ask"), 10)
    looked = look(tmp_path, {})
    spend(tmp_path, Attribution("local", "other", run="run-9"), "a", 10)
    spend(tmp_path, Attribution("local", "shop", run="run-2"), "b", 10)
    spend(tmp_path, Attribution("local", "shop", run="run-10", step="all/ask"), "c", 10)
    assert looked.told("local", "shop", "run-1") == ()


def test_what_cost_more_than_was_reserved_is_told_too(tmp_path: Path) -> None:
    looked = look(tmp_path, {})
    with ledger(tmp_path) as opened:
        opened.reserve("a", MINE, {Unit.USD: CENT})
        opened.settle("a", {Unit.USD: 3 * CENT})
    assert looked.told("local", "shop", "run-1") == (
        "step:run-1/all/ask has cost $0.03, more than the $0.01 that were reserved (a)",
    )


def test_a_claim_that_cannot_be_true_is_told_as_such_and_not_as_a_cost(tmp_path: Path) -> None:
    looked = look(tmp_path, {})
    with ledger(tmp_path) as opened:
        opened.reserve("a", MINE, {Unit.USD: CENT})
        opened.committer.perform(Settle("a", {Unit.USD: CENT}, doubtful=True))
    assert looked.told("local", "shop", "run-1") == (
        "the provider claimed more for step:run-1/all/ask than the call can have used, so all that was reserved is "
        "charged: $0.01 (a)",
    )


def test_an_error_of_a_run_keeps_its_lines() -> None:
    out = io.StringIO()
    view = RunView("0123456789", "shop", "shop", "1234", "failed", error="it is used up\n  next: ask ann")
    show_summary(Terminal(GlobalOptions(color="never"), out), view, lambda _step, _lines: (), ())
    assert "\nerror: it is used up\n  next: ask ann\n" in out.getvalue()


def test_a_ledger_that_cannot_be_read_is_told_and_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("no database at all, but long enough to be looked at" * 30)
    (said,) = look(tmp_path, {}).told("local", "shop", "run-1")
    assert said.startswith("whether one passed a threshold cannot be read: ")


def test_they_stand_in_the_summary_before_its_last_line() -> None:
    out = io.StringIO()
    view = RunView("0123456789", "shop", "shop", "1234", "succeeded")
    show_summary(Terminal(GlobalOptions(color="never"), out), view, lambda _step, _lines: (), (), ["it is\x1b used up"])
    lines = out.getvalue().splitlines()
    assert lines[-2].startswith("budget: it is")
    assert "\x1b" not in lines[-2]
    assert lines[-1].startswith("succeeded")
