"""The outage drill: where real requests would have gone."""

from __future__ import annotations

import dataclasses

import pytest

from maestro.errors import InputError
from maestro.llm.catalogue import ProviderSettings
from maestro.llm.decisions import Kept, Outcome, outcome_of
from maestro.llm.drill import Moved, drill
from tests.unit.llm_world import NOW, answer, ask, catalogue, state

KNOWN = dataclasses.replace(
    catalogue(routes={"cheap": {"candidates": ("small", "home"), "objective": "cost"}}),
    providers={name: ProviderSettings(name, "openai") for name in ("openai", "ollama", "offline")},
)


def answered(target: str, number: int, **changes: object) -> list[Kept]:
    decision = dataclasses.replace(ask(target, KNOWN), **changes)  # type: ignore[arg-type]  # tests name the fields
    return [Kept(decision, outcome_of(decision, answer(decision, cost_nano=17_500_000), at=NOW))] * number


def test_each_request_goes_to_the_next_of_its_own_order_at_the_cost_of_its_own_tokens() -> None:
    found = drill(["big"], KNOWN, answered("all", 10))
    [route] = found.routes
    assert (route.route, route.calls, route.affected, route.failed) == ("all", 10, 10, 0)
    assert route.moved == (Moved("big", "middle", 10),)
    assert route.before_nano == 175_000_000
    # 1,000 tokens at $1 and 500 at $4 a million.
    assert route.after_nano == 10 * 3_000_000
    assert found.models == ("big",)


def test_a_provider_takes_all_of_its_models_along() -> None:
    found = drill(["openai"], KNOWN, [*answered("all", 4), *answered("cheap", 2)])
    assert found.models == ("big", "middle", "small")
    assert [(one.route, one.failed) for one in found.routes] == [("all", 4), ("cheap", 0)]
    assert found.failed == 4
    assert found.routes[0].moved == (Moved("big", None, 4),)


def test_what_the_outage_does_not_touch_stays_as_it_is() -> None:
    [route] = drill(["small"], KNOWN, answered("all", 3)).routes
    assert (route.calls, route.affected, route.moved, route.before_nano) == (3, 0, (), 0)


def test_the_model_that_really_answered_counts_and_not_the_one_chosen_first() -> None:
    decision = ask("all", KNOWN)
    fallen_back = Kept(decision, outcome_of(decision, answer(decision, model="middle"), at=NOW))
    assert drill(["big"], KNOWN, [fallen_back]).routes[0].affected == 0


def test_a_request_that_found_no_model_is_not_the_outages_doing() -> None:
    decision = ask("all", KNOWN, facts=state(keys=frozenset()), fallback=())
    none = dataclasses.replace(decision, chosen=None, order=())
    kept = Kept(none, Outcome(none.id, NOW, "refused"))
    assert drill(["openai"], KNOWN, [kept]).routes[0].failed == 0


def test_a_request_that_failed_anyway_is_not_the_outages_doing() -> None:
    decision = ask("all", KNOWN)
    for state_then in ("failed", "cancelled", "refused"):
        [route] = drill(["openai"], KNOWN, [Kept(decision, Outcome(decision.id, NOW, state_then))]).routes
        assert (route.calls, route.affected, route.failed) == (1, 0, 0)


def test_what_goes_elsewhere_and_what_has_no_answer_are_counted_apart() -> None:
    found = drill(["big"], KNOWN, [*answered("all", 2), *answered("all", 4, order=("big",)), *answered("cheap", 1)])
    assert (found.elsewhere, found.failed) == (2, 4)


def test_a_call_without_an_answer_is_compared_by_its_worst_case() -> None:
    decision = ask("all", KNOWN)
    [route] = drill(["big"], KNOWN, [Kept(decision, None)]).routes
    assert (route.before_nano, route.after_nano) == (45_000_000, 8_000_000)


def test_a_model_whose_price_is_gone_is_counted_and_not_guessed() -> None:
    unpriced = dataclasses.replace(
        KNOWN, models={**KNOWN.models, "middle": dataclasses.replace(KNOWN.models["middle"], price=None)}
    )
    [route] = drill(["big"], unpriced, answered("all", 2)).routes
    assert (route.unknown_cost, route.before_nano, route.after_nano) == (2, 0, 0)


def test_routes_nobody_has_used_are_imagined_when_it_is_known_how_things_are() -> None:
    found = drill(["openai"], KNOWN, answered("cheap", 1), state=state())
    [imagined] = [one for one in found.routes if one.route == "all"]
    assert (imagined.calls, imagined.moved) == (0, (Moved("big", None, 0),))
    assert imagined.why == "No model of 'all' can be used: 3 unhealthy."
    assert [one.route for one in drill(["openai"], KNOWN, answered("cheap", 1)).routes] == ["cheap"]


def test_a_name_that_is_nothing_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError) as raised:
        drill(["opnai"], KNOWN, [])
    assert raised.value.what == "'opnai' is no provider and no model; nearest: provider openai"


def test_without_a_past_nothing_is_said() -> None:
    assert drill(["openai"], KNOWN, []).routes == ()
