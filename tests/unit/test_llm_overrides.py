"""Overrides: with a reason, a scope and an end; what they can do, and what they never can."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.ledger.model import Attribution
from maestro.llm.catalogue import Restriction
from maestro.llm.decide import candidates_of
from maestro.llm.model import ModelRequest, NoModelError
from maestro.llm.overrides import OverrideStore, make_override
from maestro.llm.policy_gate import PolicyGate
from maestro.llm.state import OllamaState, Override, PolicyVerdict
from maestro.policy import load_bundle, open_engine
from maestro.server.database import open_engine as open_database
from tests.unit.llm_world import NOW, WHO, ask, balance, catalogue, model, reasons, state


def made(target: str = "all", name: str = "small", **changes: Any) -> Override:
    given = {
        "reason": "big invents names",
        "scope": "project:acme/app",
        "expires": timedelta(days=7),
        "actor": "ada",
        "now": NOW - timedelta(hours=1),
    }
    return make_override(target, name, **{**given, **changes})


def asked(*overrides: Override, target: str = "all", **facts: Any) -> Any:
    return ask(target, facts=state(overrides=overrides, **facts))


@pytest.fixture
def store(tmp_path: Path) -> OverrideStore:
    return OverrideStore(open_database(f"sqlite:///{tmp_path / 'ledger.db'}"))


# What they do


def test_an_override_decides_and_the_sentence_says_who_why_and_until_when() -> None:
    override = made()
    decision = asked(override)
    assert (decision.chosen, decision.override) == ("small", override.id)
    assert decision.why == (
        f"ada has put small in place of 'all' for project:acme/app until 2026-11-28 11:00 UTC ({override.id}): "
        "big invents names."
    )


def test_the_others_remain_for_the_case_that_it_fails_unless_it_is_strict() -> None:
    assert asked(made()).order == ("small", "big", "middle")
    decision = asked(made(strict=True))
    assert decision.order == ("small",)
    assert reasons(decision, "big") == ["override"]


def test_it_may_name_a_model_that_is_no_candidate() -> None:
    decision = asked(made(name="home"), ollama=OllamaState(True, frozenset({"home"})))
    assert decision.chosen == "home"
    assert [one.name for one in candidates_of(ModelRequest((), "big"), catalogue(), (made(name="home"),))] == [
        "big",
        "home",
        "offline",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": timedelta(minutes=60)},
        {"now": NOW + timedelta(seconds=1)},
        {"scope": "project:acme/other"},
        {"scope": "tenant:other"},
        {"scope": "pull_request:acme/app#8"},
        {"target": "cheap"},
    ],
)
def test_it_holds_for_its_time_its_scope_and_its_target_only(changes: dict[str, Any]) -> None:
    assert asked(made(**changes)).chosen == "big"


def test_a_revoked_one_means_nothing() -> None:
    assert asked(dataclasses.replace(made(), revoked=NOW)).chosen == "big"


def test_the_innermost_scope_decides_then_the_target_by_name_then_the_newest() -> None:
    tenant, own = made(name="middle", scope="tenant:acme"), made(name="small", scope="step:run1/review")
    assert asked(tenant, own).chosen == asked(own, tenant).chosen == "small"
    anything = made(target="*", name="middle")
    assert asked(made(), anything).chosen == "small"
    newer = made(name="middle", now=NOW - timedelta(minutes=5))
    assert asked(made(), newer).chosen == "middle"


def test_one_for_any_target_holds_where_nothing_is_asked_for() -> None:
    assert asked(made(target="*"), target="").chosen == "small"


# What they never do


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"keys": frozenset()}, "no_key"),
        ({"balances": (balance(0.01, 0.01),)}, "over_budget"),
        ({"policy": {"small": PolicyVerdict(False, ("no",)), "big": PolicyVerdict(True)}}, "policy"),
        ({"unhealthy": {"small": "gone"}}, "unhealthy"),
    ],
)
def test_no_override_beats_a_missing_key_a_budget_a_policy_or_an_outage(facts: dict[str, Any], code: str) -> None:
    decision = asked(made(), **facts)
    assert decision.override is None
    assert decision.chosen != "small"
    assert code in reasons(decision, "small")
    assert (
        f"The override {decision.why.split('The override ')[1].split()[0]} to small could not be followed: "
        in decision.why
    )


def test_no_override_beats_a_region_or_what_a_file_restricts() -> None:
    facts = state(overrides=(made(),))
    assert ask("all", facts=facts, regions=frozenset({"us"})).chosen == "big"
    restricted = catalogue(restrictions=(Restriction("models.yaml", deny=frozenset({"small"})),))
    decision = ask("all", restricted, facts=facts)
    assert decision.chosen == "big"
    assert "models.yaml denies this model" in decision.why


def test_an_unknown_price_is_not_beaten_either() -> None:
    known = catalogue(model("big"), model("small", price=None), routes={"all": {"candidates": ("big", "small")}})
    assert ask("all", known, facts=state(overrides=(made(),))).chosen == "big"


def test_a_quality_floor_and_the_rules_of_a_route_are_beaten() -> None:
    assert ask("all", facts=state(overrides=(made(),)), min_quality=0.8).chosen == "small"


def test_a_strict_one_that_cannot_be_followed_leaves_nothing() -> None:
    decision = asked(made(strict=True), unhealthy={"small": "gone"})
    assert decision.chosen is None
    assert reasons(decision, "big") == ["override"]


# How they are made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reason": "  "}, "an override needs a reason, in one line"),
        ({"reason": "a\nb"}, "an override needs a reason, in one line"),
        ({"scope": "acme/app"}, "'acme/app' is no scope"),
        ({"scope": "project:"}, "'project:' is no scope"),
        ({"scope": "project:acme/app@2026-11"}, "'project:acme/app@2026-11' is no scope"),
        ({"expires": timedelta(days=91)}, "an override holds for at most 90 days"),
        ({"expires": timedelta(0)}, "the override would have expired already"),
        ({"expires": datetime(2026, 12, 1)}, "the expiry has no time zone"),
        ({"actor": " "}, "nobody is named who overrides"),
    ],
)
def test_without_reason_scope_end_and_name_there_is_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("'", ".")) as raised:
        made(**changes)
    assert raised.value.next_step


# How they are kept


def test_what_is_put_is_in_force_until_it_is_revoked_and_both_are_told(store: OverrideStore) -> None:
    override = made()
    added = store.put(override, catalogue())
    assert (added.kind, added.object, added.data["reason"]) == ("llm.override.added", override.id, "big invents names")
    assert store.active(NOW) == (override,)
    revoked = store.revoke(override.id, reason="fixed", actor="bob", now=NOW)
    assert (revoked.kind, revoked.data["revoked_by"], revoked.data["revocation_reason"]) == (
        "llm.override.revoked",
        "bob",
        "fixed",
    )
    assert store.active(NOW + timedelta(seconds=1)) == ()
    [kept] = store.list()
    assert (kept.revoked, kept.revoked_by) == (NOW, "bob")


def test_those_of_some_scopes_can_be_asked_for(store: OverrideStore) -> None:
    store.put(made(), catalogue())
    store.put(made(scope="tenant:acme"), catalogue())
    assert len(store.list(scopes=[str(scope) for scope in WHO.scopes(NOW)])) == 2
    assert len(store.list(scopes=["tenant:acme"], at=NOW)) == 1
    assert store.list(at=NOW + timedelta(days=8)) == ()


def test_names_that_are_unknown_are_refused_with_the_nearest(store: OverrideStore) -> None:
    with pytest.raises(NoModelError, match="nearest: model middle"):
        store.put(made(name="midle"), catalogue())
    with pytest.raises(NoModelError, match="'al' is no model"):
        store.put(made(target="al"), catalogue())
    with pytest.raises(InputError, match="'all' is a route; an override names one model"):
        store.put(made(name="all"), catalogue())
    assert store.list() == ()


def test_a_policy_that_does_not_allow_it_keeps_nothing(store: OverrideStore) -> None:
    gate = PolicyGate(lambda: open_engine(load_bundle()), {"overriders": ["ops-*"]})
    who = Attribution("acme", "app")
    with pytest.raises(InputError, match="ada may not put model small in place of what was asked for"):
        store.put(made(), catalogue(), allowed=lambda one: gate.override_verdict(one, catalogue(), who))
    assert store.list() == ()
    store.put(made(actor="ops-7"), catalogue(), allowed=lambda one: gate.override_verdict(one, catalogue(), who))
    assert len(store.list()) == 1


def test_revoking_needs_an_override_in_force_and_a_reason(store: OverrideStore) -> None:
    with pytest.raises(InputError, match="there is no override 'ovr_1'"):
        store.revoke("ovr_1", reason="x", actor="bob")
    override = made()
    store.put(override, catalogue())
    with pytest.raises(InputError, match="a revocation needs a reason"):
        store.revoke(override.id, reason="", actor="bob")
    store.revoke(override.id, reason="x", actor="bob")
    with pytest.raises(InputError, match="is revoked already"):
        store.revoke(override.id, reason="x", actor="bob")
