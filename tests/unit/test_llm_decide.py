"""Which model is chosen, why, and what is said of every other one."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.ledger.model import NANO, Scope, Unit
from maestro.llm.catalogue import Restriction, Rule, load_catalogue
from maestro.llm.decide import candidates_of, decide, refusal
from maestro.llm.model import ModelRequest, NoModelError, PromptRef
from maestro.llm.named_by_ollama import with_ollama_models
from maestro.llm.prices import FREE
from maestro.llm.state import Breaker, Latency, OllamaState, PolicyVerdict
from maestro.llm.tokens import TokenCount
from tests.unit.llm_world import (
    BIG,
    HOME,
    MIDDLE,
    NOW,
    OFFLINE,
    SMALL,
    TOKENS,
    WHO,
    ask,
    balance,
    catalogue,
    model,
    price,
    reasons,
    sentence,
    state,
    verdict,
)


def route(**settings: object) -> dict[str, dict[str, object]]:
    return {"mine": {"candidates": ("big", "middle", "small"), **settings}}


# What is asked for


def test_nothing_asked_for_is_the_default_route() -> None:
    decision = ask("")
    assert (decision.route, decision.objective, decision.chosen) == ("all", "quality", "big")


def test_a_model_asked_for_by_name_is_taken_and_nothing_else_is_looked_at() -> None:
    decision = ask("small")
    assert decision.chosen == "small"
    assert [one.model for one in decision.candidates] == ["small"]
    assert decision.why == "small was asked for by name, and nothing speaks against it; it costs at most $0.0008 here."


def test_a_capability_is_every_model_that_has_it() -> None:
    known = catalogue(BIG, model("seer", capabilities=frozenset({"vision"})))
    assert ask("vision", known).chosen == "seer"


def test_an_unknown_target_names_what_is_near_with_its_kind() -> None:
    known = catalogue(routes={"midlle-class": {"candidates": ("small",)}})
    with pytest.raises(NoModelError) as raised:
        ask("midle", known)
    assert "'midle' is no model, no route and no capability; nearest: model middle" in raised.value.what
    assert "maestro llm models" in (raised.value.next_step or "")


def test_an_unknown_fallback_is_refused_before_it_is_needed() -> None:
    with pytest.raises(NoModelError, match="no model, no route"):
        ask("small", fallback=("nothing-like-it",))


def test_a_name_of_a_thousand_characters_is_shortened_in_the_message() -> None:
    with pytest.raises(NoModelError) as raised:
        ask("x" * 1000)
    assert len(raised.value.what) < 200


# Objectives


@pytest.mark.parametrize(
    ("objective", "order", "words"),
    [
        ("quality", ("big", "middle", "small"), "the best of the 3 models that can be used in route mine: quality 0.9"),
        (
            "cost",
            ("small", "middle", "big"),
            "costs least of the 3 models that can be used in route mine: about $0.0005",
        ),
        ("pinned", ("big", "middle", "small"), "the first in the order of route mine"),
    ],
)
def test_the_order_goes_by_the_objective_and_the_sentence_says_so(
    objective: str, order: tuple[str, ...], words: str
) -> None:
    decision = ask("mine", catalogue(routes=route(objective=objective)))
    assert decision.order == order
    assert words in decision.why


def test_latency_goes_by_recent_calls_the_queue_and_failures() -> None:
    known = catalogue(routes=route(objective="latency"))
    latency = {"big": Latency(1.0, 2.0, 50), "middle": Latency(1.2, 3.0, 50), "small": Latency(2.0, 3.0, 50)}
    assert ask("mine", known, facts=state(latency=latency)).chosen == "big"
    assert ask("mine", known, facts=state(latency=latency, queue={"big": 16})).chosen == "middle"
    failing = {**latency, "big": Latency(1.0, 2.0, 50, failed=25)}
    decision = ask("mine", known, facts=state(latency=failing))
    assert decision.chosen == "middle"
    assert "about 1.2 s" in decision.why


def test_a_model_nobody_asked_lately_is_taken_to_be_as_quick_as_the_others() -> None:
    latency = {"big": Latency(1.0, 2.0, 50), "small": Latency(3.0, 3.0, 50)}
    decision = ask("mine", catalogue(routes=route(objective="latency")), facts=state(latency=latency))
    assert verdict(decision, "middle").scores["latency"] == 2.0


def test_a_weight_of_evals_moves_a_model_up() -> None:
    known = catalogue(BIG, dataclasses.replace(MIDDLE, weight=1.5), SMALL)
    decision = ask("all", known)
    assert decision.chosen == "middle"
    assert "weighted 1.5" in decision.why


def test_equal_candidates_are_ordered_by_cost_then_as_written() -> None:
    twins = (model("b"), model("a"), model("c", price=price(0.5, 4)))
    known = catalogue(*twins, routes={"mine": {"candidates": ("b", "a", "c")}}, default_route="mine")
    assert ask("mine", known).order == ("c", "b", "a")


def test_the_offline_provider_is_not_taken_for_being_free_and_quick() -> None:
    known = catalogue(routes={"mine": {"candidates": ("offline", "small", "big"), "objective": "cost"}})
    assert ask("mine", known).order == ("small", "big", "offline")


# Verdicts, each with its sentence


def test_without_a_key_the_verdict_names_the_variable() -> None:
    decision = ask("all", facts=state(keys=frozenset()))
    assert reasons(decision, "big") == ["no_key"]
    assert sentence(decision, "big") == "there is no key for it: KEY is not set"


SOON = NOW + timedelta(seconds=12)


def test_a_key_file_is_named_as_such() -> None:
    known = catalogue(BIG, model("filed", key="file:/run/keys/x"))
    assert sentence(ask("filed", known), "filed") == "there is no key for it: the file /run/keys/x is missing or empty"


def test_a_key_that_is_there_and_cannot_be_used_is_not_told_as_missing() -> None:
    decision = ask(
        "all", facts=state(keys=frozenset(), unusable_keys={"env:KEY": "environment variable KEY is too short"})
    )
    assert reasons(decision, "big") == ["no_key"]
    assert sentence(decision, "big") == "its key cannot be used: environment variable KEY is too short"


def test_an_unhealthy_endpoint_and_an_open_breaker_are_passed_over() -> None:
    facts = state(
        unhealthy={"big": "connection refused"},
        breakers={"middle": Breaker(5, NOW + timedelta(seconds=12), "429")},
    )
    decision = ask("all", facts=facts)
    assert decision.chosen == "small"
    assert "connection refused" in sentence(decision, "big")
    assert sentence(decision, "middle") == "it failed 5 times in a row (last: 429); it is tried again in 12 s"


@pytest.mark.parametrize(
    ("breaker", "told"),
    [
        (Breaker(1, SOON, "500"), "it failed once (last: 500)"),
        (Breaker(0, SOON, "429"), "it takes no call right now (last: 429)"),
        (Breaker(0, SOON, "429", 20.0), "its provider asked to be left alone for 20 s (last: 429)"),
        (Breaker(2, SOON, "", 9e9), "its provider asked to be left alone for 9000000000 s, of which 3600 s count"),
    ],
)
def test_why_a_deployment_is_left_alone_is_said_as_it_is(breaker: Breaker, told: str) -> None:
    decision = ask("all", facts=state(breakers={"big": breaker}))
    assert sentence(decision, "big") == f"{told}; it is tried again in 12 s"


def test_a_breaker_whose_time_is_over_does_not_count() -> None:
    assert ask("big", facts=state(breakers={"big": Breaker(5, NOW)})).chosen == "big"


def test_a_request_longer_than_the_context_is_told_the_numbers() -> None:
    decision = decide(
        ModelRequest((), "big", max_output_tokens=4_000), WHO, state(), catalogue(), tokens=TokenCount(97_000, 300_000)
    )
    assert reasons(decision, "big") == ["context"]
    assert "97,000 tokens of input and 4,000 for the answer are more than the 100,000" in sentence(decision, "big")


def test_an_answer_is_never_longer_than_the_model_can_give_so_the_worst_case_is_not_either() -> None:
    decision = ask("big", max_output_tokens=1_000_000)
    assert verdict(decision, "big").worst_nano == (4_000 * 5 + 10_000 * 25) * 1_000


def test_a_missing_capability_names_what_is_missing_and_what_is_there() -> None:
    decision = ask("all", needs=frozenset({"tools", "code"}))
    assert decision.chosen is None
    assert sentence(decision, "big") == "the request needs tools; the catalogue says it can: chat, code"


def test_regions_of_request_route_rule_and_restriction_all_count() -> None:
    known = catalogue()
    assert ask("all", known, regions=frozenset({"eu"})).order == ("small",)
    assert ask("mine", catalogue(routes=route(regions=frozenset({"eu"})))).order == ("small",)
    restricted = catalogue(restrictions=(Restriction("models.yaml", regions=frozenset({"eu"})),))
    decision = ask("big", restricted)
    assert sentence(decision, "big") == "it processes data in region 'us', and models.yaml allows eu"
    ruled = route(rules=(Rule(pull_request=True, regions=frozenset({"eu"})),))
    assert ask("mine", catalogue(routes=ruled)).order == ("small",)


def test_the_own_machines_are_in_every_region() -> None:
    assert ask("home", regions=frozenset({"eu"})).chosen == "home"


def test_the_policy_decides_and_its_words_are_the_verdict() -> None:
    policy = {"big": PolicyVerdict(False, ("not on Saturdays",), "d1"), "middle": PolicyVerdict(True, (), "d2")}
    decision = ask("all", facts=state(policy=policy))
    assert sentence(decision, "big") == "not on Saturdays"
    assert decision.chosen == "middle"
    assert decision.policy == {"model": "middle", "allow": True, "reasons": [], "decision": "d2"}


def test_a_model_the_policy_was_not_asked_about_is_not_used() -> None:
    decision = ask("all", facts=state(policy={}))
    assert decision.chosen is None
    assert reasons(decision, "big") == ["policy"]


def test_a_quality_floor_is_the_requests_where_it_has_one_else_the_routes() -> None:
    known = catalogue(routes=route(objective="cost", min_quality=0.6))
    decision = ask("mine", known)
    assert decision.order == ("middle", "big")
    assert sentence(decision, "small") == "its quality is 0.4, and route mine asks for 0.6 or more"
    assert ask("mine", known, min_quality=0.1).chosen == "small"


def test_an_unknown_price_is_refused_unless_it_is_allowed() -> None:
    mystery = model("mystery", quality=1.0, price=None)
    known = catalogue(BIG, mystery, routes={"mine": {"candidates": ("mystery", "big")}})
    decision = ask("mine", known)
    assert reasons(decision, "mystery") == ["price_unknown"]
    assert decision.chosen == "big"
    routes = {"mine": {"candidates": ("mystery", "big"), "allow_unknown_price": True}}
    assert ask("mine", catalogue(BIG, mystery, routes=routes)).chosen == "mystery"
    assert ask("mystery", catalogue(BIG, mystery, allow_unknown_price=True)).chosen == "mystery"


def test_ollama_that_does_not_answer_lacks_a_model_or_has_no_room() -> None:
    known = catalogue(last_resort=None)
    assert ask("home", known, facts=state(ollama=OllamaState())).chosen == "home"
    decision = ask("home", known, facts=state(ollama=OllamaState(running=False)))
    assert reasons(decision, "home") == ["not_running"]
    decision = ask("home", known, facts=state(ollama=OllamaState(running=True)))
    assert "ollama pull home" in sentence(decision, "home")
    assert ask("home", known, facts=state(ollama=OllamaState(running=True, pulls=True))).chosen == "home"
    too_big = OllamaState(True, frozenset({"home"}), {"home": "it needs 12 GB, and 8 GB are free"})
    decision = ask("home", known, facts=state(ollama=too_big))
    assert verdict(decision, "home").skipped == (("memory", "it needs 12 GB, and 8 GB are free"),)


def test_a_model_that_ollama_has_run_elsewhere_is_not_asked_as_a_local_one() -> None:
    away = OllamaState(True, frozenset({"home"}), elsewhere={"home": "https://ollama.com:443"})
    decision = ask("home", catalogue(last_resort=None), facts=state(ollama=away))
    assert reasons(decision, "home") == ["region"]
    assert "Ollama has it run at https://ollama.com:443" in sentence(decision, "home")


def test_what_ollamas_own_service_runs_is_not_local_by_its_name() -> None:
    known = with_ollama_models(load_catalogue(), ["gpt-oss:120b-cloud", "kimi-k2:Cloud", "cloudy:7b"])
    regions = {name: known.models[name].region for name in ("gpt-oss:120b-cloud", "kimi-k2:Cloud", "cloudy:7b")}
    assert regions == {"gpt-oss:120b-cloud": "unknown", "kimi-k2:Cloud": "unknown", "cloudy:7b": "local"}


def test_what_a_file_restricts_is_ruled_out_everywhere() -> None:
    known = catalogue(
        restrictions=(
            Restriction("a.yaml", models=frozenset({"big", "small"})),
            Restriction("b.yaml", deny=frozenset({"big"})),
        )
    )
    decision = ask("all", known)
    assert decision.order == ("small",)
    assert sentence(decision, "middle") == "a.yaml restricts models to big, small"
    assert sentence(decision, "big") == "b.yaml denies this model"


def test_every_reason_is_told_and_not_only_the_first() -> None:
    facts = state(keys=frozenset(), unhealthy={"big": "gone"})
    assert reasons(ask("big", facts=facts, needs=frozenset({"x"})), "big") == ["no_key", "unhealthy", "capability"]


# Budgets


def test_what_does_not_fit_into_a_budget_is_told_how_much_is_left_and_where() -> None:
    decision = ask("big", facts=state(balances=(balance(5, 4.99), balance(100, 1, scope=Scope("tenant", "acme")))))
    assert reasons(decision, "big") == ["over_budget"]
    assert (
        sentence(decision, "big") == "it needs up to $0.045, and of the $5.00 of project:acme/app only $0.01 are left"
    )
    assert "maestro budget set project:acme/app usd=" in decision.why


def test_the_narrowest_of_several_budgets_counts() -> None:
    tight = Scope("step", "run1/review")
    facts = state(
        balances=(balance(1000, 0), balance(0.001, 0, scope=tight), balance(None, 5, scope=Scope("run", "run1")))
    )
    decision = ask("all", facts=facts)
    assert decision.chosen == "small"
    assert "step:run1/review" in sentence(decision, "big")


def test_a_budget_of_tokens_counts_as_well() -> None:
    decision = ask("small", facts=state(balances=(balance(4_500, 0, unit=Unit.TOKENS),)))
    assert reasons(decision, "small") == ["over_budget"]
    assert "5,000 tokens" in sentence(decision, "small")


def test_what_one_request_may_cost_is_limited_by_request_and_route() -> None:
    decision = ask("all", max_nano=NANO // 100)
    assert decision.order == ("middle", "small")
    assert sentence(decision, "big") == "it may cost up to $0.045, and the request allows $0.01 a request"
    assert ask("mine", catalogue(routes=route(max_nano=NANO // 1000))).order == ("small",)


@pytest.mark.parametrize("target", ["big", "all"])
def test_a_limit_of_the_request_itself_is_not_blamed_on_a_budget_that_has_room(target: str) -> None:
    decision = ask(target, max_nano=1, facts=state(balances=(balance(1000, 0),)))
    assert decision.chosen is None
    assert "the request allows $0.000000001 a request" in decision.why
    assert decision.why.endswith("To go on, raise that limit (`max_usd`), or lower `max_output_tokens`.")
    assert "budget set" not in decision.why


def test_from_80_percent_on_the_cheaper_candidate_comes_first_and_the_sentence_says_so() -> None:
    below = ask("all", facts=state(balances=(balance(10, 7.99),)))
    assert (below.chosen, below.downshift) == ("big", ())
    decision = ask("all", facts=state(balances=(balance(10, 8),)))
    assert decision.order == ("small", "middle", "big")
    assert decision.downshift == ("project:acme/app",)
    assert decision.why.startswith(
        "The budget of project:acme/app is used by 80%, so route all prefers its cheaper candidates: small costs least"
    )


def test_a_downshift_takes_what_the_route_names_though_it_is_below_the_floor() -> None:
    known = catalogue(routes=route(min_quality=0.6, downshift=("small",)))
    assert ask("mine", known).order == ("big", "middle")
    decision = ask("mine", known, facts=state(balances=(balance(10, 9),)))
    assert decision.order == ("small", "middle", "big")
    assert "small comes first in the route's `downshift`" in decision.why


def test_without_a_downshift_of_its_own_a_route_keeps_its_floor() -> None:
    known = catalogue(routes=route(min_quality=0.6))
    assert ask("mine", known, facts=state(balances=(balance(10, 9),))).order == ("middle", "big")


def test_the_offline_provider_does_not_answer_where_a_budget_is_used_up() -> None:
    known = catalogue(routes={"mine": {"candidates": ("big", "small", "offline")}})
    decision = ask("mine", known, facts=state(balances=(balance(10, 10),)))
    assert decision.chosen is None
    assert "No model of 'mine' can be used: 3 over budget." in decision.why
    asked_for = ask("mine", known, facts=state(balances=(balance(10, 10),)), fallback=("offline",))
    assert asked_for.chosen == "offline"


# Rules


def test_a_rule_holds_only_where_everything_it_asks_for_is_so() -> None:
    rule = Rule(input_tokens_over=500, projects=("acme/*",), prefer=("small",), because="long and simple")
    known = catalogue(routes=route(rules=(rule,)))
    decision = ask("mine", known)
    assert decision.order == ("small", "big", "middle")
    assert decision.why.startswith("A rule of route mine prefers small: long and simple")
    for other in (
        dataclasses.replace(rule, input_tokens_over=1_000),
        dataclasses.replace(rule, input_tokens_under=1_000),
        dataclasses.replace(rule, projects=("other/*",)),
        dataclasses.replace(rule, tenants=("other",)),
        dataclasses.replace(rule, needs=frozenset({"vision"})),
        dataclasses.replace(rule, personal=True),
        dataclasses.replace(rule, pull_request=False),
        dataclasses.replace(rule, prompts=("code_*",)),
    ):
        assert ask("mine", catalogue(routes=route(rules=(other,)))).chosen == "big", other
    by_prompt = dataclasses.replace(rule, prompts=("code_*",))
    prompt = PromptRef("code_review", "1", "sha256:0")
    assert ask("mine", catalogue(routes=route(rules=(by_prompt,))), prompt=prompt).chosen == "small"


def test_rules_deny_and_leave_only_and_say_why() -> None:
    denies = catalogue(routes=route(rules=(Rule(deny=frozenset({"big"}), because="it invents names"),)))
    decision = ask("mine", denies)
    assert verdict(decision, "big").skipped == (("rule", "it invents names"),)
    only = catalogue(routes=route(rules=(Rule(only=frozenset({"small"})),)))
    assert ask("mine", only).order == ("small",)


# Fallbacks and the last resort


def test_a_fallback_is_taken_when_nothing_of_the_target_can_be_used() -> None:
    decision = ask("big", facts=state(unhealthy={"big": "gone"}), fallback=("middle", "small"))
    assert decision.order == ("middle", "small")
    assert decision.why.startswith("Nothing of 'big' can be used, so the fallback 'middle' counts: ")


def test_a_fallback_comes_after_everything_of_the_target_though_it_is_better() -> None:
    assert ask("small", fallback=("all",)).order == ("small", "big", "middle")


def test_what_is_not_set_up_is_answered_offline_and_the_sentence_says_that_it_is_no_model() -> None:
    decision = ask("big", facts=state(keys=frozenset()))
    assert decision.chosen == "offline"
    assert decision.why == (
        "Nothing that was asked for is set up (big: there is no key for it: KEY is not set), so the offline provider "
        "answers: it is no model, and its text is labelled so."
    )


@pytest.mark.parametrize(
    "facts",
    [
        {"unhealthy": {"big": "gone"}},
        {"breakers": {"big": Breaker(3, NOW + timedelta(minutes=1))}},
        {"balances": (balance(1, 1),)},
        {"policy": {"big": PolicyVerdict(False, ("no",)), "offline": PolicyVerdict(True)}},
    ],
)
def test_nothing_but_a_missing_set_up_is_answered_offline(facts: dict[str, object]) -> None:
    assert ask("big", facts=state(**facts)).chosen is None


def test_nothing_stands_in_for_a_model_a_file_denies() -> None:
    denying = catalogue(restrictions=(Restriction("models.yaml", deny=frozenset({"big"})),))
    assert ask("big", denying).chosen is None
    assert ask("big", denying, fallback=("middle",), facts=state(keys=frozenset())).chosen == "offline"


def test_the_last_resort_is_bound_by_policy_and_can_be_switched_off() -> None:
    denied = {"big": PolicyVerdict(True), "offline": PolicyVerdict(False, ("models only",))}
    decision = ask("big", facts=state(keys=frozenset(), policy=denied))
    assert decision.chosen is None
    assert sentence(decision, "offline") == "models only"
    assert ask("big", catalogue(last_resort=None), facts=state(keys=frozenset())).chosen is None


def test_the_last_resort_answers_for_a_route_whose_floor_it_is_below() -> None:
    known = catalogue(routes={"mine": {"candidates": ("big", "offline"), "min_quality": 0.5}})
    assert ask("mine", known).chosen == "big"
    assert ask("mine", known, facts=state(keys=frozenset())).chosen == "offline"


# What is left of it


def test_a_refusal_carries_the_decision_and_says_what_to_do() -> None:
    decision = ask("big", catalogue(BIG), facts=state(keys=frozenset()))
    error = refusal(decision)
    assert error.decision is decision
    assert error.what == "big cannot be used: there is no key for it: KEY is not set."
    assert error.next_step == "set a key or see `maestro llm why dec_1`"


def test_where_many_are_passed_over_the_sentence_counts_them() -> None:
    facts = state(keys=frozenset(), balances=())
    decision = ask("all", catalogue(BIG, MIDDLE, SMALL, HOME), facts=facts)
    assert decision.why == "No model of 'all' can be used: 3 no key."


def test_the_same_facts_lead_to_the_same_decision() -> None:
    assert ask("all") == ask("all")


def test_a_decision_has_an_id_of_its_own_that_sorts_by_time() -> None:
    first = decide(ModelRequest((), "big"), WHO, state(), catalogue(), tokens=TOKENS)
    later = decide(ModelRequest((), "big"), WHO, state(at=NOW + timedelta(milliseconds=1)), catalogue(), tokens=TOKENS)
    assert first.id.startswith("dec_") and len(first.id) == len(later.id) == 30
    assert first.id < later.id


def test_candidates_for_the_state_are_those_of_target_fallback_and_last_resort() -> None:
    found = candidates_of(ModelRequest((), "small", fallback=("middle",)), catalogue())
    assert [one.name for one in found] == ["small", "middle", "offline"]


_NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(
    p50=st.lists(_NUMBERS, min_size=3, max_size=3),
    failed=st.lists(st.integers(-5, 500), min_size=3, max_size=3),
    queue=st.lists(st.integers(-10, 10**9), min_size=3, max_size=3),
    objective=st.sampled_from(["cost", "latency", "quality", "pinned"]),
    spent=st.floats(0, 12),
)
def test_scores_are_finite_whatever_was_measured(
    p50: list[float], failed: list[int], queue: list[int], objective: str, spent: float
) -> None:
    names = ("big", "middle", "small")
    facts = state(
        latency={name: Latency(p50[n], p50[n], 100, failed[n]) for n, name in enumerate(names)},
        queue=dict(zip(names, queue, strict=True)),
        balances=(balance(10, spent),),
    )
    decision = ask("mine", catalogue(routes=route(objective=objective)), facts=facts)
    for one in decision.candidates:
        assert all(math.isfinite(score) for score in one.scores.values()), one
    assert decision.chosen == (decision.order[0] if decision.order else None)


@settings(max_examples=60, deadline=None)
@given(
    spent=st.floats(0, 10),
    likely=st.integers(0, 200_000),
    extra=st.integers(0, 300_000),
    max_output=st.integers(1, 200_000),
)
def test_nothing_is_chosen_that_could_cost_more_than_is_left(
    spent: float, likely: int, extra: int, max_output: int
) -> None:
    budget = balance(10, spent)
    decision = decide(
        ModelRequest((), "all", max_output_tokens=max_output),
        WHO,
        state(balances=(budget,)),
        catalogue(),
        tokens=TokenCount(likely, likely + extra),
    )
    for name in decision.order:
        worst = verdict(decision, name).worst_nano
        assert worst is not None and worst <= (budget.left or 0)


def test_free_models_are_not_over_any_budget() -> None:
    known = catalogue(BIG, model("gift", price=FREE), routes={"mine": {"candidates": ("big", "gift")}})
    assert ask("mine", known, facts=state(balances=(balance(1, 1),))).order == ("gift",)


def test_the_offline_provider_asked_for_by_name_is_no_exception() -> None:
    assert ask("offline", catalogue(OFFLINE, routes={"all": {"candidates": ("offline",)}})).chosen == "offline"


def test_among_models_without_a_key_the_one_a_budget_refuses_says_who_can_raise_it() -> None:
    found = ask(
        "all",
        catalogue(BIG, model("middle", key="env:OTHER", price=FREE)),
        facts=state(balances=(balance(1, 1),)),
    )
    assert found.chosen is None
    assert "To go on, ask whoever may run `maestro budget set project:acme/app usd=… --reason …`" in found.why


def test_where_the_request_itself_allows_too_little_no_budget_is_blamed() -> None:
    found = ask("big", facts=state(balances=(balance(100, 1),)), max_nano=1)
    assert found.chosen is None
    assert "budget set" not in found.why


def test_a_budget_of_tokens_says_who_can_raise_it_too() -> None:
    found = ask("big", facts=state(balances=(balance(10, 9, unit=Unit.TOKENS),)))
    assert "To go on, ask whoever may run `maestro budget set project:acme/app tokens=… --reason …`" in found.why
