"""The table that answers "why this model" to a newcomer."""

from __future__ import annotations

import dataclasses

from maestro.llm.decisions import outcome_of
from maestro.llm.explain import COLUMNS, headline, why_facts, why_table
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
    assert rows[0].cells == ("middle", "chosen", "0.7", "$0.0050", "$0.0080", "2.0 s", "0.700", "")
    assert len(COLUMNS) == len(rows[0].cells)


def test_what_happened_is_in_the_table_as_well() -> None:
    decision = ask("all")
    tried = (Attempt("big", "rate_limit", 0.4, "429, asked to wait 30 s"), Attempt("middle", "ok", 1.1))
    outcome = outcome_of(decision, answer(decision, model="middle", attempts=tried), at=NOW)
    rows = {row.model: row for row in why_table(decision, outcome)}
    assert (rows["big"].verdict, rows["big"].because) == ("failed: rate_limit", "429, asked to wait 30 s")
    assert rows["middle"].verdict == "answered"
    assert dict(why_facts(decision, outcome))["outcome"] == (
        "answered by middle in 1.5 s, 1,000 + 500 tokens, cost $0.0030"
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
