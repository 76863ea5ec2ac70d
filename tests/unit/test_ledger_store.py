"""What the ledger promises to one caller who reserves and reads; what it promises to many is in the integration tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.errors import InputError, MaestroError
from maestro.ledger.errors import LedgerUnavailableError, ReservationClosedError
from maestro.ledger.model import (
    PULL_REQUEST_DEFAULT,
    BudgetExceededError,
    Scope,
    Unit,
)
from maestro.ledger.names import MOST
from maestro.ledger.operations import Companion
from maestro.ledger.store import Ledger
from tests.unit.ledger_of_ada import LATER, PULL, RUN, STEP, TOKENS, USD, WHO, ledger, limit, numbers, url

__all__ = ["ledger", "url"]

# Reserving.


def test_an_amount_is_reserved_in_every_scope_it_lies_in(ledger: Ledger) -> None:
    reservation = ledger.reserve("one", WHO, {USD: 5})
    assert [str(scope).partition("@")[0] for scope in reservation.scopes] == [
        *("tenant:acme", "tenant:acme", "project:acme/app", "project:acme/app"),
        *("pull_request:acme/app#7", "run:r1", "step:r1/review"),
    ]
    assert {numbers(ledger, scope) for scope in reservation.scopes} == {(0, 5)}


def test_the_lease_ends_after_its_seconds(ledger: Ledger) -> None:
    before = datetime.now(UTC)
    ends = ledger.reserve("one", WHO, {USD: 5}, lease=60).expires
    assert before + timedelta(seconds=59) < ends < datetime.now(UTC) + timedelta(seconds=61)


@pytest.mark.parametrize("scope", [Scope("tenant", "acme"), Scope("project", "acme/app"), PULL, RUN, STEP])
def test_what_one_scope_does_not_hold_is_reserved_in_none(ledger: Ledger, scope: Scope) -> None:
    limit(ledger, scope, 4)
    with pytest.raises(BudgetExceededError, match=rf"the budget of {scope} is .* and this needs up to") as refused:
        ledger.reserve("one", WHO, {USD: 5})
    assert refused.value.balance.scope == scope
    assert numbers(ledger, Scope("tenant", "acme")) == (0, 0)
    ledger.reserve("one", WHO, {USD: 4})


def test_a_refusal_says_what_is_spent_and_reserved_and_who_can_raise_it(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 6_000_000_000})
    ledger.settle("one", {USD: 5_000_000_000})
    ledger.reserve("two", WHO, {USD: 4_000_000_000})
    with pytest.raises(BudgetExceededError) as refused:
        ledger.reserve("three", WHO, {USD: 1_500_000_000})
    assert str(refused.value) == (
        "the budget of pull_request:acme/app#7 is $10.00: $5.00 are spent and $4.00 reserved, and this needs up to $1.50"
        "\n  next: ask whoever may run `maestro budget set pull_request:acme/app#7 usd=… --reason …`"
    )


def test_of_several_budgets_that_do_not_hold_it_the_tightest_is_named(ledger: Ledger) -> None:
    limit(ledger, Scope("tenant", "acme"), 4)
    limit(ledger, RUN, 2)
    with pytest.raises(BudgetExceededError, match="the budget of run:r1"):
        ledger.reserve("one", WHO, {USD: 5})


def test_units_are_reserved_together_or_not_at_all(ledger: Ledger) -> None:
    limit(ledger, RUN, 100, TOKENS)
    with pytest.raises(BudgetExceededError, match="the budget of run:r1 is 100 tokens"):
        ledger.reserve("one", WHO, {USD: 5, TOKENS: 101})
    assert numbers(ledger) == (0, 0)


def test_a_limit_of_nothing_refuses_everything_that_costs_and_nothing_that_is_free(ledger: Ledger) -> None:
    limit(ledger, RUN, 0)
    with pytest.raises(BudgetExceededError):
        ledger.reserve("one", WHO, {USD: 1})
    ledger.reserve("free", WHO, {USD: 0})
    assert ledger.settle("free", {USD: 0}) == ()


def test_no_limit_means_no_limit_even_where_there_is_a_default(ledger: Ledger) -> None:
    limit(ledger, PULL, None)
    ledger.reserve("one", WHO, {USD: 50 * PULL_REQUEST_DEFAULT})
    assert ledger.balance(PULL, USD).left is None


def test_a_workflow_lowers_what_was_granted(ledger: Ledger) -> None:
    with pytest.raises(BudgetExceededError, match=r"next: raise `budget\.run` in maestro\.yaml"):
        ledger.reserve("one", WHO, {USD: 5}, limits={RUN: {USD: 4}})


def test_a_workflow_cannot_raise_what_was_granted(ledger: Ledger) -> None:
    limit(ledger, RUN, 4)
    with pytest.raises(BudgetExceededError):
        ledger.reserve("one", WHO, {USD: 5}, limits={RUN: {USD: 10**12}, PULL: {USD: 10**12}})


def test_the_same_id_is_the_same_reservation(ledger: Ledger) -> None:
    first = ledger.reserve("one", WHO, {USD: 5})
    assert ledger.reserve("one", WHO, {USD: 5}) == first
    assert numbers(ledger) == (0, 5)


def test_an_id_cannot_be_used_for_something_else(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    with pytest.raises(InputError, match="'one' was reserved before, for something else"):
        ledger.reserve("one", WHO, {USD: 6})
    with pytest.raises(InputError, match="'one' was reserved before, for something else"):
        ledger.reserve("one", replace(WHO, step="other"), {USD: 5})


def test_an_id_that_was_used_up_reserves_nothing(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    ledger.settle("one", {USD: 5})
    with pytest.raises(ReservationClosedError, match="the reservation 'one' is over: it was settled"):
        ledger.reserve("one", WHO, {USD: 5})


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ({USD: -1}, "-1 is no amount of usd"),
        ({USD: MOST + 1}, "is no amount of usd the ledger can hold"),
        ({USD: 1.5}, "1.5 is no amount of usd"),
        ({USD: True}, "True is no amount of usd"),
        ({"euro": 1}, "'euro' is no unit of budgets"),
    ],
)
def test_an_amount_that_is_none_is_refused(ledger: Ledger, amounts: dict[Unit, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ledger.reserve("one", WHO, amounts)
    with pytest.raises(InputError, match=message):
        ledger.settle("one", amounts)
    assert ledger.reservations() == []


@pytest.mark.parametrize("lease", [0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_lease_that_is_none_is_refused(ledger: Ledger, lease: float) -> None:
    with pytest.raises(InputError, match="is none"):
        ledger.reserve("one", WHO, {USD: 5}, lease=lease)


def test_the_largest_amount_is_counted_exactly_and_nothing_beyond_it(ledger: Ledger) -> None:
    limit(ledger, PULL, None)
    ledger.reserve("one", WHO, {USD: MOST})
    ledger.settle("one", {USD: MOST})
    assert numbers(ledger) == (MOST, 0)
    with pytest.raises(InputError, match="the ledger cannot count so much of usd for tenant:acme"):
        ledger.reserve("two", WHO, {USD: 1})


# Other things written with it, and reading.


OTHERS = sa.Table("others", sa.MetaData(), sa.Column("name", sa.Text, primary_key=True))


def other(name: str) -> Companion:
    """A row of somebody else's table."""
    return Companion("INSERT INTO others (name) VALUES (?)", (name,))


def others(ledger: Ledger) -> list[str]:
    with ledger.engine.begin() as connection:
        return list(connection.execute(sa.select(OTHERS.c.name)).scalars())


def test_what_is_written_with_a_reservation_is_there_exactly_when_it_is(ledger: Ledger) -> None:
    OTHERS.metadata.create_all(ledger.engine)
    limit(ledger, RUN, 5)
    ledger.reserve("one", WHO, {USD: 5}, also=[other("decision")])
    ledger.reserve("one", WHO, {USD: 5}, also=[other("decision")])
    with pytest.raises(BudgetExceededError):
        ledger.reserve("two", WHO, {USD: 1}, also=[other("never")])
    ledger.settle("one", {USD: 1}, also=[other("outcome")])
    assert others(ledger) == ["decision", "outcome"]


def test_a_reservation_is_not_made_when_what_belongs_to_it_cannot_be_written(ledger: Ledger) -> None:
    OTHERS.metadata.create_all(ledger.engine)
    ledger.reserve("one", WHO, {USD: 5}, also=[other("same")])
    with pytest.raises(MaestroError, match="what belongs to it cannot be written beside the ledger: UNIQUE"):
        ledger.reserve("two", WHO, {USD: 5}, also=[other("same")])
    assert numbers(ledger) == (0, 5)


def test_balances_show_limits_nobody_has_used_yet(ledger: Ledger) -> None:
    (balance,) = ledger.balances([PULL])
    assert (balance.limit, balance.used, balance.source) == (PULL_REQUEST_DEFAULT, 0, "default")
    (lowered,) = ledger.balances([PULL], limits={PULL: {USD: 3}})
    assert (lowered.limit, lowered.source) == (3, "workflow")
    assert ledger.balances([RUN]) == []


def test_charges_are_found_by_whom_what_and_when(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    ledger.reserve("two", replace(WHO, pull_request=8), {USD: 5})
    ledger.settle("one", {USD: 1}, model="a")
    ledger.settle("two", {USD: 2}, model="b")
    assert [charge.amount for charge in ledger.charges(model="b")] == [2]
    assert [charge.amount for charge in ledger.charges(pull_request=7, tenant="acme")] == [1]
    assert list(ledger.charges(until=datetime.now(UTC) - LATER)) == []
    assert len(list(ledger.charges(since=datetime.now(UTC) - LATER, run=None))) == 2
    with pytest.raises(InputError, match="charges cannot be asked for by 'town'"):
        ledger.charges(town="x")


def test_charges_are_read_to_the_end_page_by_page(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro.ledger.reading._PAGE", 2)
    for part in range(5):
        ledger.spend(WHO, {Unit.RUNS: part})
    assert [charge.amount for charge in ledger.charges()] == [0, 1, 2, 3, 4]


def test_scopes_that_were_ever_used_are_listed(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    assert ledger.scopes("run:") == [RUN]
    assert len(ledger.scopes()) == 7


def test_sums_that_were_tampered_with_are_found(url: str) -> None:
    with Ledger.open(url) as ledger:
        ledger.reserve("one", WHO, {USD: 5})
        ledger.settle("one", {USD: 3})
        with ledger.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE maestro_ledger_sums SET spent = 2 WHERE scope = 'run::r1'")
        assert [str(one) for one in ledger.check()] == ["run:r1: spent usd is 2, and adds up to 3"]
        with ledger.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE maestro_ledger_sums SET spent = 3 WHERE scope = 'run::r1'")
            connection.exec_driver_sql("""UPDATE maestro_ledger_reservations SET actual = '{"usd": 2}'""")
        assert [str(one) for one in ledger.check()] == ["one: charged usd is 2, and adds up to 3"]


def test_a_sum_below_nothing_is_not_even_written(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    with pytest.raises(sa.exc.IntegrityError), ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE maestro_ledger_sums SET spent = -1")


def test_a_ledger_that_cannot_be_kept_there_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="the ledger's folder cannot be made"):
        Ledger.open(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}")
    with pytest.raises(InputError, match="cannot be kept in mysql"):
        Ledger.open("mysql://localhost/x")
    (tmp_path / "garbage.db").write_bytes(b"no database " * 1000)
    with pytest.raises(MaestroError, match="not a database"):
        Ledger.open(f"sqlite:///{tmp_path / 'garbage.db'}")


def test_without_its_tables_nothing_is_reserved(url: str) -> None:
    with Ledger.open(url, patience=0.0) as ledger:
        with ledger.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE maestro_ledger_sums")
        with pytest.raises(LedgerUnavailableError, match="the ledger's database does not answer: no such table"):
            ledger.reserve("one", WHO, {USD: 5})
        with pytest.raises(LedgerUnavailableError):
            ledger.check()
