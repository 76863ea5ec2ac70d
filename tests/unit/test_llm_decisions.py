"""Decisions are kept with their outcome, found again, and given to other programs."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.errors import InputError, MaestroError
from maestro.ledger.model import Attribution
from maestro.ledger.transaction import write
from maestro.llm.decisions import DecisionStore, Kept, decision_id, decision_row, outcome_of
from maestro.llm.decisions_export import COLUMNS, export
from maestro.llm.model import Attempt, Decision, NoModelError, PromptRef, ProviderError
from maestro.server.database import open_engine
from tests.unit.llm_world import NOW, answer, ask, state


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield made
    made.dispose()


@pytest.fixture
def store(engine: sa.Engine) -> DecisionStore:
    return DecisionStore(engine)


def decided(minutes: int = 0, **changes: object) -> Decision:
    at = NOW + timedelta(minutes=minutes)
    return dataclasses.replace(ask("all"), id=decision_id(at), at=at, **changes)  # type: ignore[arg-type]  # tests name the fields


def test_what_is_kept_is_read_as_it_was(store: DecisionStore) -> None:
    decision = decided(prompt=PromptRef("p", "1", "sha256:0"), policy={"allow": True, "reasons": []})
    attempts = (Attempt("big", "timeout", 1.0, "no answer"),)
    outcome = outcome_of(decision, answer(decision, attempts=attempts), at=NOW)
    store.keep(decision, outcome)
    assert store.get(decision.id) == Kept(decision, outcome)


def test_a_refused_decision_with_all_its_reasons_is_kept_too(store: DecisionStore) -> None:
    decision = dataclasses.replace(ask("big", facts=state(keys=frozenset()), regions=frozenset({"eu"})), id="dec_1")
    store.keep(decision, outcome_of(decision, None, error=NoModelError("no key"), at=NOW))
    kept = store.get("dec_1")
    assert kept.decision == decision
    assert kept.outcome is not None and (kept.outcome.state, kept.outcome.error) == ("refused", "no key")


def test_its_rows_belong_to_somebody_elses_transaction(store: DecisionStore, engine: sa.Engine) -> None:
    decision = decided()
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        write(connection, [decision_row(decision)])
        raise ZeroDivisionError
    assert list(store.list()) == []
    with engine.begin() as connection:
        write(connection, [decision_row(decision)])
        write(connection, [decision_row(decision)])
    [kept] = store.list()
    assert kept == Kept(decision, None)


def test_the_last_word_about_an_outcome_counts(store: DecisionStore) -> None:
    decision = decided()
    store.keep(decision, outcome_of(decision, None, error=ProviderError("gone", kind="unavailable"), at=NOW))
    store.keep(decision, outcome_of(decision, answer(decision), at=NOW))
    outcome = store.get(decision.id).outcome
    assert outcome is not None and outcome.state == "answered"


@pytest.mark.parametrize(
    ("error", "is_state", "words"),
    [
        (NoModelError("none left"), "refused", "none left"),
        (ProviderError("filtered", kind="refused"), "refused", "filtered"),
        (ProviderError("no answer", kind="timeout"), "failed", "no answer"),
        (ValueError("with a secret in it"), "failed", "ValueError"),
        (asyncio.CancelledError(), "cancelled", "whoever asked stopped it"),
    ],
)
def test_what_happened_in_place_of_an_answer_has_a_state(error: BaseException, is_state: str, words: str) -> None:
    outcome = outcome_of(ask("all"), None, error=error, at=NOW)
    assert (outcome.state, outcome.error) == (is_state, words)


def test_a_decision_is_found_by_the_beginning_of_its_id_and_the_newest_by_name(store: DecisionStore) -> None:
    early, late = decided(0), decided(10)
    store.keep(early)
    store.keep(late)
    assert store.get(early.id[:-4]).decision == early
    assert store.get("last").decision == late
    with pytest.raises(InputError, match="more than one decision begins with 'dec_'"):
        store.get("dec_")


@pytest.mark.parametrize("id_", ["dec_nothing", "", "dec_é", "%", "last"])
def test_a_decision_that_is_not_there_is_an_error_that_says_what_to_do(store: DecisionStore, id_: str) -> None:
    with pytest.raises(InputError, match="there is no decision") as raised:
        store.get(id_)
    assert raised.value.next_step == "list them with `maestro llm decisions`"


def test_lists_are_the_newest_first_and_can_be_narrowed(store: DecisionStore) -> None:
    other = Attribution("other", "app", None, "run2", "triage")
    rows = [decided(0), decided(1, attribution=other), decided(2, route="cheap", chosen="small")]
    for row in rows:
        store.keep(row)
    store.keep(rows[0], outcome_of(rows[0], answer(rows[0], model="middle"), at=NOW))

    def found(**filters: object) -> list[int]:
        return [rows.index(one.decision) for one in store.list(**filters)]  # type: ignore[arg-type]  # tests name the filters

    assert found() == [2, 1, 0]
    assert found(limit=2) == [2, 1]
    assert found(since=NOW + timedelta(seconds=30), until=NOW + timedelta(minutes=2)) == [1]
    assert found(tenant="other") == found(run="run2") == found(step="triage") == [1]
    assert found(pull_request=7) == [2, 0]
    assert found(route="cheap") == found(model="small") == [2]
    assert found(model="middle") == found(state="answered") == [0]
    assert found(state="open") == [2, 1]


def test_long_lists_are_read_in_pages_and_none_is_read_twice(store: DecisionStore, engine: sa.Engine) -> None:
    # Many of one moment: the id decides between them.
    rows = [decided(0) for _ in range(1_203)]
    with engine.begin() as connection:
        write(connection, [decision_row(row) for row in rows])
    found = [one.decision.id for one in store.list(limit=None)]
    assert found == sorted((row.id for row in rows), reverse=True)
    assert len(list(store.list(limit=700))) == 700


def test_a_row_that_was_changed_by_hand_is_an_error_and_no_traceback(store: DecisionStore, engine: sa.Engine) -> None:
    decision = decided()
    store.keep(decision)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE maestro_llm_decisions SET document = '{}'"))
    with pytest.raises(MaestroError, match="a kept decision cannot be read: KeyError"):
        store.get(decision.id)


def test_a_database_that_does_not_answer_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(MaestroError, match="database cannot be used"):
        DecisionStore(open_engine(f"sqlite:///{tmp_path / 'none' / 'ledger.db'}"))


def test_json_lines_have_all_of_it(store: DecisionStore) -> None:
    decision = decided()
    store.keep(decision, outcome_of(decision, answer(decision), at=NOW))
    [line] = export(store.list(), "jsonl")
    found = json.loads(line)
    assert found["id"] == decision.id
    assert found["outcome"]["cost_nano"] == 3_000_000
    assert [one["model"] for one in found["candidates"]] == ["big", "middle", "small"]


def test_csv_has_one_line_a_decision_and_no_cell_is_a_formula(store: DecisionStore) -> None:
    evil = decided(target="=cmd()", attribution=Attribution("@x", "app"))
    refused = dataclasses.replace(ask("all", facts=state(keys=frozenset())), id="dec_2", at=NOW - timedelta(hours=1))
    store.keep(evil, outcome_of(evil, answer(evil), at=NOW))
    store.keep(refused)
    rows = list(csv.DictReader(io.StringIO("".join(export(store.list(), "csv")))))
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["target"], rows[0]["tenant"], rows[0]["usd"], rows[0]["state"]) == (
        "'=cmd()",
        "'@x",
        "0.003000000",
        "answered",
    )
    assert (rows[1]["skipped"], rows[1]["state"], rows[1]["usd"]) == (
        "big:no_key middle:no_key small:no_key",
        "open",
        "",
    )
