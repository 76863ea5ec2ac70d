"""The table that answers "why this model" to a newcomer."""

from __future__ import annotations

import dataclasses

import pytest

from maestro.cli.llm_why_table import show_decision
from maestro.cli.options import GlobalOptions
from maestro.cli.terminal import Terminal
from maestro.llm.decisions import outcome_of
from maestro.llm.explain import COLUMNS, headline, troubles, why_facts, why_table
from maestro.llm.model import Attempt, PromptRef, ProviderError
from maestro.llm.state import Latency, PolicyVerdict
from tests.unit.llm_world import NOW, answer, ask, balance, state


def test_candidates_stand_in_the_order_they_would_be_tried_and_the_others_below() -> None:
    decision = ask("all", facts=state(unhealthy={"big": "connection refused"}, latency={"middle": Latency(2, 3, 9)}))
    rows = why_table(decision)
    assert [(row.model, row.verdict, row.usable) for row in rows] == [
        ("middle", "chosen", True),
        ("small", "2nd", True),
        ("big", "unhealthy", False),
    ]
    assert rows[2].because == "its endpoint cannot be used right now: connection refused"
    assert rows[0].cells == ("middle", "chosen", "0.7", "$0.005", "$0.008", "2.0 s", "0.700", "")
    assert len(COLUMNS) == len(rows[0].cells)


def test_what_happened_is_in_the_table_as_well() -> None:
    decision = ask("all")
    tried = (Attempt("big", "rate_limit", 0.4, "429, asked to wait 30 s"), Attempt("middle", "ok", 1.1))
    outcome = outcome_of(decision, answer(decision, model="middle", attempts=tried), at=NOW)
    rows = {row.model: row for row in why_table(decision, outcome)}
    assert (rows["big"].verdict, rows["big"].because) == ("failed: rate_limit", "429, asked to wait 30 s")
    assert rows["middle"].verdict == "answered"
    assert dict(why_facts(decision, outcome))["outcome"] == (
        "answered by middle in 1.5 s, 1,000 + 500 tokens, cost $0.003"
    )


def test_the_answer_to_why_stands_first() -> None:
    decision = ask(
        "all",
        facts=state(
            balances=(balance(10, 9),), policy={name: PolicyVerdict(True) for name in ("big", "middle", "small")}
        ),
        prompt=PromptRef("code_review", "3", "sha256:0"),
    )
    facts = why_facts(decision)
    assert facts[0] == ("why", decision.why)
    rest = dict(facts)
    assert rest["asked for"] == "all"
    assert rest["by"] == "ada for acme/app#7, run run1, step review"
    assert rest["prompt"] == "code_review 3"
    assert rest["downshift"] == "over 80 % of the budget: project:acme/app"
    assert rest["policy"] == "allows it"
    assert rest["outcome"] == "none yet: the call is not over, or its process died"


def test_unknown_and_free_costs_are_words() -> None:
    decision = ask("home")
    assert (why_table(decision)[0].costs, why_table(decision)[0].at_most) == ("nothing", "$0.00")
    decision = dataclasses.replace(decision, candidates=(dataclasses.replace(decision.candidates[0], worst_nano=None),))
    assert (why_table(decision)[0].costs, why_table(decision)[0].at_most) == ("unknown", "unknown")


def test_a_failure_is_told_in_its_own_words() -> None:
    decision = ask("all")
    error = ProviderError("the endpoint closed the connection", kind="unavailable")
    assert dict(why_facts(decision, outcome_of(decision, None, error=error, at=NOW)))["outcome"] == (
        "failed: the endpoint closed the connection"
    )


def test_after_a_fallback_who_answered_stands_first_and_how_the_others_failed() -> None:
    decision = ask("all")
    tried = (*[Attempt("big", "unavailable", 0.1, "it answered 500: boom")] * 3, Attempt("middle", "ok", 1.1))
    found = answer(decision, model="middle", attempts=tried)
    why = dict(why_facts(decision, outcome_of(decision, found, at=NOW)))["why"]
    assert why == headline(decision, found.model, found.attempts)
    assert why.startswith("middle answered, because big failed (it answered 500: boom, 3 times). Chosen at first: big ")


def test_where_nothing_failed_the_decision_is_the_answer() -> None:
    decision = ask("all")
    assert headline(decision, "big", (Attempt("big", "unavailable", 0.1), Attempt("big", "ok", 1.0))) == decision.why
    assert headline(decision, None, (Attempt("big", "timeout", 9.0),)) == decision.why


def test_what_went_wrong_on_the_way_is_no_reason_against_a_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    decision = ask("all", facts=state(unhealthy={"small": "connection refused"}))
    tried = (*[Attempt("big", "unavailable", 0.1, "big: it answered 500")] * 2, Attempt("big", "ok", 1.1))
    outcome = outcome_of(decision, answer(decision, model="big", attempts=tried), at=NOW)
    rows = {row.model: row for row in why_table(decision, outcome)}
    assert (rows["big"].verdict, rows["big"].against, rows["big"].because) == ("chosen", "", "big: it answered 500")
    assert troubles(outcome) == (("big", "unavailable, 2 times", "it answered 500"),)
    show_decision(Terminal(GlobalOptions()), decision, outcome)
    against, wrong = (
        capsys.readouterr().out.split("what speaks against the others:")[1].split("\nwhat went wrong on the way:")
    )
    assert "small" in against and "big" not in against
    assert wrong.splitlines()[2].split() == ["big", "unavailable,", "2", "times", "it", "answered", "500"]


def test_where_nothing_went_wrong_nothing_is_said_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    decision = ask("all")
    outcome = outcome_of(decision, answer(decision, attempts=(Attempt("big", "ok", 1.1),)), at=NOW)
    assert troubles(outcome) == troubles(None) == ()
    show_decision(Terminal(GlobalOptions()), decision, outcome)
    assert "went wrong" not in capsys.readouterr().out


def test_a_decision_that_is_not_kept_is_shown_without_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    decision = ask("all")
    show_decision(Terminal(GlobalOptions()), decision, None, dry=True)
    assert "dec_" not in capsys.readouterr().out
    show_decision(Terminal(GlobalOptions()), decision, None)
    assert decision.id in capsys.readouterr().out


def test_an_answer_from_the_cache_of_a_fallback_says_why_it_is_not_the_chosen_ones() -> None:
    decision = ask("all")
    tried = (Attempt("big", "unavailable", 0.1, "it answered 500: boom"),)
    found = dataclasses.replace(answer(decision, model="middle", attempts=tried), cached=True)
    outcome = outcome_of(decision, found, at=NOW)
    assert {row.model: row.verdict for row in why_table(decision, outcome)}["middle"] == "answered"
    assert dict(why_facts(decision, outcome))["why"].startswith("middle answered, because big failed")
