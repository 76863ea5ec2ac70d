"""Why a model was chosen, in one sentence for somebody who sees a decision for the first time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from maestro.ledger.model import Balance, Unit, money, shown, who_can_raise
from maestro.llm.judging import Budgets, Terms
from maestro.llm.model import ModelRequest, Verdict
from maestro.llm.state import Override
from maestro.llm.targets import Candidate, Group

WORDS = {
    "no_key": "no key",
    "unhealthy": "unhealthy",
    "breaker_open": "failing",
    "over_budget": "over budget",
    "context": "context too small",
    "region": "wrong region",
    "policy": "denied by policy",
    "quality_floor": "below the quality floor",
    "price_unknown": "price unknown",
    "capability": "cannot do it",
    "memory": "too big for the memory",
    "not_running": "not running",
    "override": "set aside by an override",
    "rule": "ruled out",
}
"""Reason codes in a few words."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Everything the sentence is made from."""

    request: ModelRequest
    group: Group
    first: Group
    winner: Candidate
    most: int | None
    scores: Mapping[str, float]
    usable: int
    verdicts: tuple[Verdict, ...]
    preferred: bool
    terms: Terms
    soft: tuple[Balance, ...]
    override: Override | None
    last_resort: bool


def why(chosen: Chosen) -> str:
    """One sentence, or two where something went out of its usual way."""
    name = chosen.winner.name
    if chosen.override is not None:
        one = chosen.override
        return (
            f"{one.actor} has put {name} in place of '{chosen.first.target}' for {one.scope} until "
            f"{one.expires:%Y-%m-%d %H:%M} UTC ({one.id}): {one.reason}."
        )
    if chosen.last_resort:
        return f"Nothing that was asked for is set up ({_passed(chosen.verdicts, name)}), so {_last(chosen.winner)}."
    before = ""
    if chosen.group is not chosen.first:
        before = f"Nothing of '{chosen.first.target}' can be used, so the fallback '{chosen.group.target}' counts: "
    if chosen.winner.model.offline and chosen.group.kind != "model":
        passed = _passed(chosen.verdicts, name)
        return f"{before}No model of '{chosen.group.target}' can be used ({passed}), so {_last(chosen.winner)}."
    return before + _reason(chosen, name)


def _reason(chosen: Chosen, name: str) -> str:
    cost = "" if chosen.most is None else f"; it costs at most {shown(Unit.USD, chosen.most)} here"
    if chosen.most == 0:
        cost = "; it costs nothing"
    if chosen.group.kind == "model":
        return f"{name} was asked for by name, and nothing speaks against it{cost}."
    place = (
        f"route {chosen.group.target}" if chosen.group.kind == "route" else f"the capability '{chosen.group.target}'"
    )
    passed = len(chosen.verdicts) - chosen.usable
    among = f"the {chosen.usable} models that can be used" if chosen.usable > 1 else "the only model that can be used"
    over = f" ({passed} passed over)" if passed else ""
    if chosen.preferred:
        reason = next((rule.because for rule in chosen.terms.rules if name in rule.prefer and rule.because), "")
        return f"A rule of {place} prefers {name}{': ' + reason if reason else ''}{over}{cost}."
    if chosen.soft:
        tight = max(chosen.soft, key=lambda one: one.fraction)
        how = "comes first in the route's `downshift`" if name in chosen.group.route.downshift else "costs least"
        of = f" of {among}" if how == "costs least" and chosen.usable > 1 else ""
        return (
            f"The budget of {tight.scope} is used by {tight.fraction:.0%}, so {place} prefers its cheaper candidates: "
            f"{name} {how}{of}{over}{cost}."
        )
    if chosen.usable == 1:
        return f"{name} is the only model of {place} that can be used{over}{cost}."
    objective = chosen.group.route.objective
    scores = chosen.scores
    if objective == "pinned":
        return f"{name} is the first in the order of {place} that can be used{over}{cost}."
    weighted = f", weighted {scores['weight']:g}" if scores["weight"] != 1 else ""
    if objective == "cost":
        return f"{name} costs least of {among} in {place}: about {money(scores['cost'])}{weighted}{over}{cost}."
    if objective == "latency":
        return f"{name} is the quickest of {among} in {place}: about {scores['latency']:.1f} s{weighted}{over}{cost}."
    return f"{name} is the best of {among} in {place}: quality {scores['quality']:g}{weighted}{over}{cost}."


def only_over_budget(verdicts: tuple[Verdict, ...]) -> Verdict | None:
    """The best of those that only a budget speaks against; None: there is none."""
    found = [one for one in verdicts if one.skipped and all(code == "over_budget" for code, _ in one.skipped)]
    # What costs nothing, the offline provider, was only kept from standing in for the others.
    paid = [one for one in found if one.worst_nano != 0] or found
    return max(paid, key=lambda one: one.scores.get("total", 0.0), default=None)


def none_left(group: Group, verdicts: tuple[Verdict, ...], budgets: Budgets, tokens: int = 0) -> str:
    """Why there is no model at all, and where a budget is the reason, who can raise it.

    Args:
        tokens: the most the request may use.
    """
    if len(verdicts) == 1:
        told = "; ".join(sentence for _, sentence in verdicts[0].skipped)
        start = f"{verdicts[0].model} cannot be used: {told}."
    else:
        start = f"No model of '{group.target}' can be used: {_passed(verdicts)}."
    best = only_over_budget(verdicts)
    tight = _refusing(best, budgets, tokens)
    if tight is not None:
        return f"{start} To go on, {who_can_raise(tight)}."
    if best is None:
        return start
    its = "" if len(verdicts) == 1 else f" {best.model}: {best.skipped[0][1]}."
    return f"{start}{its} To go on, raise that limit (`max_usd`), or lower `max_output_tokens`."


def _refusing(best: Verdict | None, budgets: Budgets, tokens: int) -> Balance | None:
    """The budget it does not fit into; None where it is the request's or the route's own limit it does not keep."""
    if best is None:
        return None
    money = min(budgets.money, key=lambda one: one.left or 0, default=None)
    if money is not None and (best.worst_nano or 0) > (money.left or 0):
        return money
    counted = min(budgets.tokens, key=lambda one: one.left or 0, default=None)
    return counted if counted is not None and tokens > (counted.left or 0) else None


def _last(winner: Candidate) -> str:
    if winner.model.offline:
        return "the offline provider answers: it is no model, and its text is labelled so"
    return f"{winner.name} answers as the last resort"


def _passed(verdicts: tuple[Verdict, ...], but: str = "") -> str:
    """``3 no key, 1 over budget``, by the first reason of each; with the one sentence where there is but one."""
    others = [one for one in verdicts if one.model != but and one.skipped]
    if len(others) == 1:
        return f"{others[0].model}: {others[0].skipped[0][1]}"
    counted = Counter(WORDS.get(one.skipped[0][0], one.skipped[0][0]) for one in others)
    return ", ".join(f"{number} {word}" for word, number in counted.most_common())
