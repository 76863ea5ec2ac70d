"""Names of scopes: how people write them, what they may be, and which patterns stand for them."""

from __future__ import annotations

import pytest

from maestro.errors import InputError
from maestro.ledger.model import Attribution, Scope
from maestro.ledger.names import checked_attribution, key_of, parse_scope, patterns, scope_of


@pytest.mark.parametrize(
    "scope",
    [
        Scope("tenant", "acme"),
        Scope("tenant", "acme", "2026-11"),
        Scope("tenant", "acme", "*"),
        Scope("project", "acme/app", "2026-11"),
        Scope("pull_request", "acme/app#7"),
        Scope("pull_request", "acme/app#*"),
        Scope("run", "9f0c"),
        Scope("step", "9f0c/build:linux"),
    ],
)
def test_a_scope_is_read_as_it_is_shown(scope: Scope) -> None:
    assert parse_scope(str(scope)) == scope
    assert scope_of(key_of(scope)) == scope


def test_a_name_that_looks_like_a_month_does_not_make_two_scopes_one() -> None:
    assert key_of(Scope("step", "run/a@2026-11")) != key_of(Scope("step", "run/a", "2026-11"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acme", "'acme' is no scope of budgets"),
        ("tenants:acme", "'tenants:acme' is no scope of budgets"),
        ("tenant:", "'tenant:' is no scope of budgets"),
        ("tenant:acme@2026-13", "'2026-13' is no month"),
        ("run:abc@2026-11", "'run:abc@2026-11' can have no month"),
        ("tenant:a\nb", "control characters"),
        ("tenant:" + "a" * 600, "has 600 characters"),
    ],
)
def test_what_names_no_scope_is_refused_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        parse_scope(text)
    assert refused.value.next_step


@pytest.mark.parametrize(
    ("attribution", "message"),
    [
        (Attribution("", "app"), "no tenant is given"),
        (Attribution("acme/x", "app"), "the tenant 'acme/x' has a '/'"),
        (Attribution("acme", "app\0"), "control characters"),
        (Attribution("*", "app"), r"cannot be named '\*'"),
        (Attribution("acme", "app", run="a/b"), "the run 'a/b' has a '/'"),
        (Attribution("acme", "app", step="build"), "the step 'build' belongs to no run"),
        (Attribution("acme", "app", pull_request=-1), "-1 is no number of a pull request"),
        (Attribution("acme", "app", actor=""), "no actor is given"),
    ],
)
def test_an_attribution_whose_budgets_would_not_be_its_own_is_refused(attribution: Attribution, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_attribution(attribution)


def test_patterns_come_the_most_particular_first() -> None:
    assert [str(scope) for scope in patterns(Scope("pull_request", "acme/app#7"))] == [
        "pull_request:acme/app#7",
        "pull_request:acme/app#*",
        "pull_request:*",
    ]
    assert [str(scope) for scope in patterns(Scope("project", "acme/app", "2026-11"))] == [
        "project:acme/app@2026-11",
        "project:acme/app@*",
        "project:*@2026-11",
        "project:acme/*@*",
        "project:*@*",
    ]
