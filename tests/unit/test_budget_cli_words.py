"""Scopes, amounts and times of budgets, as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro.cli.budget_words import read_amount, read_scope, read_since, read_until
from maestro.cli.money_source import MoneyPlace
from maestro.errors import InputError
from maestro.ledger.model import NANO, Unit

NOW = datetime(2026, 11, 21, 20, tzinfo=UTC)
HERE = MoneyPlace(Path("/nowhere"), {}, None, "local", "shop", None)


@pytest.mark.parametrize(
    ("scope", "meant"),
    [
        ("project", "project:local/shop"),
        ("project@month", "project:local/shop@2026-11"),
        ("project@*", "project:local/shop@*"),
        ("tenant", "tenant:local"),
        ("tenant:acme@2026-11", "tenant:acme@2026-11"),
        ("pr:7", "pull_request:local/shop#7"),
        ("pull_request:acme/app#7", "pull_request:acme/app#7"),
        ("pull_request:acme/app#*", "pull_request:acme/app#*"),
        ("run:*", "run:*"),
        ("step:run-1/review", "step:run-1/review"),
    ],
)
def test_scopes_have_long_and_short_names(scope: str, meant: str) -> None:
    assert str(read_scope(scope, HERE, NOW)) == meant


@pytest.mark.parametrize(
    ("scope", "what", "next_step"),
    [
        ("projekt:acme/app", "'projekt' is no kind of scope", "did you mean 'project'?"),
        ("acme/app", "'acme/app' is no kind of scope", "write one of tenant, project, pull_request, run, step"),
        ("month", "'month' alone does not say whose", "project@month"),
        ("project:app", "the project 'app' has no tenant", "project:local/app"),
        ("tenant:acme@2026-13", "no month", "2026-11"),
        ("run", "'run' does not say which one", "write run:NAME"),
        ("run:x@2026-11", "can have no month", "tenants and projects only"),
        ("pull_request:", "no scope", "tenant:acme"),
    ],
)
def test_a_scope_that_is_none_is_refused_with_what_was_meant(scope: str, what: str, next_step: str) -> None:
    with pytest.raises(InputError) as caught:
        read_scope(scope, HERE, NOW)
    assert what in caught.value.what
    assert next_step in (caught.value.next_step or "")


@pytest.mark.parametrize(
    ("amount", "what"),
    [
        ("uds=1", "did you mean 'usd'"),
        ("euro=1", "use one of usd, tokens, runs, minutes, gigabytes"),
        ("usd", "'usd' is no amount"),
        ("usd=", "'usd=' is no amount"),
        ("usd=-1", "'-1' is no amount of usd"),
        ("usd=1e9", "'1e9' is no amount of usd"),
        ("usd=nan", "'nan' is no amount of usd"),
        ("usd=0.0000000001", "more exact than the ledger counts usd"),
        ("tokens=1.5", "more exact than the ledger counts tokens"),
        ("usd=99999999999", "more than the ledger can count"),
        ("usd=" + "9" * 5000, "is no amount of usd"),
    ],
)
def test_an_amount_that_is_none_is_refused(amount: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        read_amount(amount)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("amount", "unit", "whole"),
    [
        ("usd=$10.50", Unit.USD, 10_500_000_000),
        ("usd=1_000", Unit.USD, 1000 * NANO),
        ("dollars=.5", Unit.USD, NANO // 2),
        ("tokens=1.5m", Unit.TOKENS, 1_500_000),
        ("minutes=2.5", Unit.MINUTES, 150),
        ("gb=1.5", Unit.GIGABYTES, 1_500_000_000),
        ("runs=3", Unit.RUNS, 3),
        ("usd=unlimited", Unit.USD, None),
        ("usd=default", Unit.USD, "default"),
    ],
)
def test_amounts_are_counted_as_the_ledger_counts(amount: str, unit: Unit, whole: int | str | None) -> None:
    assert read_amount(amount) == (unit, whole)


def test_short_names_need_a_project() -> None:
    nowhere = MoneyPlace(Path("/nowhere"), {}, None, "default", None, None)
    with pytest.raises(InputError, match="this folder belongs to none"):
        read_scope("project", nowhere, NOW)
    assert str(read_scope("project:acme/app", nowhere, NOW)) == "project:acme/app"


@pytest.mark.parametrize(
    ("text", "apart"),
    [("12h", timedelta(hours=12)), ("30d", timedelta(days=30)), ("2026-11-22", timedelta(hours=4))],
)
def test_a_time_to_come_is_a_time_from_now_or_a_day(text: str, apart: timedelta) -> None:
    assert read_until(text, NOW, "--expires") == NOW + apart


def test_a_time_that_was_counts_back() -> None:
    assert read_since("12h", NOW) == NOW - timedelta(hours=12)
    assert read_since("2026-11-21T21:00:00+02:00", NOW) == NOW - timedelta(hours=1)


@pytest.mark.parametrize("text", ["", "soon", "12", "2026-13-01", "2026-11-21T12:00:00", "9999d9", "d"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no time"):
        read_since(text, NOW)
    with pytest.raises(InputError, match="is no time"):
        read_until(text, NOW, "--expires")


def test_a_time_that_is_over_is_none_to_come() -> None:
    with pytest.raises(InputError, match="over already"):
        read_until("2026-11-21", NOW, "--expires")
