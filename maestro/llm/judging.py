"""What speaks against a candidate: each reason a code and a sentence with numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from maestro.ledger.model import Attribution, Balance, Unit, shown
from maestro.llm.catalogue import Rule
from maestro.llm.model import ModelRequest
from maestro.llm.state import LONGEST_COOL_DOWN, Breaker, State
from maestro.llm.targets import Candidate, Group, allowed_in
from maestro.llm.tokens import TokenCount

SOFT = 0.8
"""From this part of a budget on, the cheaper candidates come first."""
BEATEN = frozenset({"quality_floor", "rule"})
"""Reasons an override does not care about; every other one stands."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a group's candidates are judged by, worked out once for all of them.

    Args:
        floor: of quality; who says so. lenient: models it does not hold for.
        regions, limits: with who says so; limits in nanodollars.
        rules: that hold for this request.
        prefer: models that come first.
    """

    needs: frozenset[str]
    floor: float
    floor_by: str
    lenient: frozenset[str]
    regions: tuple[tuple[frozenset[str], str], ...]
    limits: tuple[tuple[int, str], ...]
    rules: tuple[Rule, ...]
    prefer: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Budgets:
    """What is left, the least of it at hand.

    Args:
        money, tokens: balances with a limit, of these units.
        left: the least that is left, nanodollars; None: not limited. left_tokens: the same for tokens.
        soft: balances of money that are used by 80 % and more.
    """

    money: tuple[Balance, ...]
    tokens: tuple[Balance, ...]
    left: int | None
    left_tokens: int | None
    soft: tuple[Balance, ...]


def budgets_of(balances: Sequence[Balance]) -> Budgets:
    """The balances that limit something."""
    money = tuple(one for one in balances if one.limit is not None and one.unit is Unit.USD)
    tokens = tuple(one for one in balances if one.limit is not None and one.unit is Unit.TOKENS)
    return Budgets(
        money,
        tokens,
        min([one.left or 0 for one in money], default=None),
        min([one.left or 0 for one in tokens], default=None),
        tuple(one for one in money if one.fraction >= SOFT),
    )


def terms_of(group: Group, request: ModelRequest, attribution: Attribution, likely: int, *, soft: bool) -> Terms:
    """The terms of this group for this request."""
    route = group.route
    floor, by = route.min_quality, f"route {route.name}"
    regions, limits = group.regions, group.max_nano
    rules: tuple[Rule, ...] = ()
    prefer: tuple[str, ...] = ()
    if route.rules:
        rules = tuple(
            _taking_away(one) if one.branches and not request.branch else one
            for one in route.rules
            if holds(one, request, attribution, likely)
        )
        for rule in rules:
            prefer += rule.prefer
            known = not rule.branches or bool(request.branch)
            if rule.min_quality is not None and (known or rule.min_quality > floor):
                floor, by = rule.min_quality, f"a rule of route {route.name}"
            if rule.regions:
                regions = (*regions, (rule.regions, f"a rule of route {route.name}"))
    if request.min_quality is not None:
        floor, by = request.min_quality, "the request"
    if request.regions:
        regions = (*regions, (request.regions, "the request"))
    if request.max_nano is not None:
        limits = (*limits, (request.max_nano, "the request"))
    lenient = frozenset(route.downshift) if soft else frozenset()
    return Terms(request.needs, floor, by, lenient, regions, limits, rules, prefer)


def holds(rule: Rule, request: ModelRequest, attribution: Attribution, likely: int) -> bool:
    """Whether everything the rule asks for is so; of a branch that is not known, that may be."""
    if rule.input_tokens_over is not None and likely <= rule.input_tokens_over:
        return False
    if rule.input_tokens_under is not None and likely >= rule.input_tokens_under:
        return False
    if rule.needs and not rule.needs & request.needs:
        return False
    if rule.personal is not None and rule.personal != bool(request.personal):
        return False
    if rule.pull_request is not None and rule.pull_request != (attribution.pull_request is not None):
        return False
    if rule.tenants and not _like(attribution.tenant, rule.tenants):
        return False
    if rule.projects and not _like(f"{attribution.tenant}/{attribution.project}", rule.projects):
        return False
    if rule.branches and request.branch and not on_branch(request.branch, rule.branches):
        return False
    return not rule.prompts or (request.prompt is not None and _like(request.prompt.name, rule.prompts))


def on_branch(branch: str, patterns: tuple[str, ...]) -> bool:
    """Whether the branch is one of these: the last pattern that matches counts, and ``!`` takes out.

    Patterns that begin with one to be taken out mean all other branches.
    """
    found = patterns[0].startswith("!")
    for pattern in patterns:
        if fnmatchcase(branch, pattern.removeprefix("!")):
            found = not pattern.startswith("!")
    return found


def _taking_away(rule: Rule) -> Rule:
    """What is left of a rule that may hold or not, so that nobody gets round it by naming no branch."""
    because = rule.because or "a rule of the route about branches does not let it take this request"
    return replace(rule, prefer=(), because=f"{because} (the branch of the request is not known)")


def _like(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def against(
    candidate: Candidate,
    terms: Terms,
    state: State,
    budgets: Budgets,
    tokens: TokenCount,
    max_output: int,
    most: int | None,
) -> list[tuple[str, str]]:
    """Every reason why this candidate cannot be used; empty when it can.

    Args:
        most: the most the request can cost there, in nanodollars; None: nobody knows.
    """
    model, name = candidate.model, candidate.name
    found: list[tuple[str, str]] = list(candidate.forbidden)
    if model.key is not None and model.key not in state.keys:
        found.append(("no_key", _no_key(model.key, state)))
    if model.kind == "ollama":
        found += _ollama(model.wire_model, state)
        host = state.ollama.elsewhere.get(model.wire_model)
        if host is not None and model.local:
            found.append(
                (
                    "region",
                    f"Ollama has it run at {host[:80]}, and models.yaml says that data stay here: correct its region",
                )
            )
    if name in state.unhealthy:
        found.append(("unhealthy", f"its endpoint cannot be used right now: {state.unhealthy[name]}"))
    breaker = state.breakers.get(name)
    if breaker is not None and breaker.until > state.at:
        found.append(("breaker_open", left_alone(breaker, (breaker.until - state.at).total_seconds())))
    if not terms.needs <= model.capabilities:
        missing = ", ".join(sorted(terms.needs - model.capabilities))
        has = ", ".join(sorted(model.capabilities)) or "nothing"
        found.append(("capability", f"the request needs {missing}; the catalogue says it can: {has}"))
    if model.context is not None:
        output = min(max_output, candidate.max_output)
        if tokens.likely + output > model.context:
            found.append(
                (
                    "context",
                    f"{tokens.likely:,} tokens of input and {output:,} for the answer are more than the "
                    f"{model.context:,} it can take",
                )
            )
    for regions, by in terms.regions:
        if not allowed_in(model.region, regions):
            found.append(
                (
                    "region",
                    f"it processes data in region '{model.region}', and {by} allows {', '.join(sorted(regions))}",
                )
            )
    if state.policy is not None:
        verdict = state.policy.get(name)
        if verdict is None:
            found.append(("policy", "the policy was not asked about it, so it is not used"))
        elif not verdict.allow:
            found.append(("policy", "; ".join(verdict.reasons) or "the policy denies it without a reason"))
    if model.quality < terms.floor and name not in terms.lenient:
        found.append(
            (
                "quality_floor",
                f"its quality is {model.quality:g}, and {terms.floor_by} asks for {terms.floor:g} or more",
            )
        )
    for rule in terms.rules:
        if name in rule.deny or (rule.only and name not in rule.only):
            found.append(("rule", rule.because or "a rule of the route does not let it take this request"))
    if most is None:
        if not candidate.unknown_price_allowed:
            found.append(
                (
                    "price_unknown",
                    "nobody knows what it costs, so no budget can be held; give it a `price` in models.yaml, or say "
                    "`allow_unknown_price: true`",
                )
            )
    else:
        found += _over(terms, budgets, most)
    if budgets.left_tokens is not None:
        asked = tokens.at_most + min(max_output, candidate.max_output)
        if asked > budgets.left_tokens:
            tight = min(budgets.tokens, key=lambda one: one.left or 0)
            found.append(("over_budget", _left(tight, asked)))
    return found


def left_alone(breaker: Breaker, seconds: float) -> str:
    """Why an open breaker's deployment takes no call, and when it is tried again."""
    last = f" (last: {breaker.last})" if breaker.last else ""
    again = f"it is tried again in {seconds:.0f} s"
    if breaker.asked is not None:
        longest = f", of which {LONGEST_COOL_DOWN:.0f} s count" if breaker.asked > LONGEST_COOL_DOWN else ""
        return f"its provider asked to be left alone for {breaker.asked:.0f} s{longest}{last}; {again}"
    if not breaker.failures:
        return f"it takes no call right now{last}; {again}"
    times = "once" if breaker.failures == 1 else f"{breaker.failures} times in a row"
    return f"it failed {times}{last}; {again}"


def _over(terms: Terms, budgets: Budgets, most: int) -> list[tuple[str, str]]:
    found = []
    for limit, by in terms.limits:
        if most > limit:
            found.append(
                (
                    "over_budget",
                    f"it may cost up to {shown(Unit.USD, most)}, and {by} allows {shown(Unit.USD, limit)} a request",
                )
            )
    if budgets.left is not None and most > budgets.left:
        tight = min(budgets.money, key=lambda one: one.left or 0)
        found.append(("over_budget", _left(tight, most)))
    return found


def _left(balance: Balance, asked: int) -> str:
    return (
        f"it needs up to {shown(balance.unit, asked)}, and of the {shown(balance.unit, balance.limit or 0)} of "
        f"{balance.scope} only {shown(balance.unit, balance.left or 0)} are left"
    )


def _no_key(key: str, state: State) -> str:
    if key in state.unusable_keys:
        return f"its key cannot be used: {state.unusable_keys[key]}"
    kind, _, place = key.partition(":")
    if kind == "env":
        return f"there is no key for it: {place} is not set"
    return f"there is no key for it: the file {place} is missing or empty"


def _ollama(wire_model: str, state: State) -> list[tuple[str, str]]:
    ollama = state.ollama
    if ollama.running is False:
        return [("not_running", "Ollama does not answer; start it with `ollama serve`")]
    found = []
    if ollama.running and wire_model not in ollama.present and not ollama.pulls:
        found.append(("not_running", f"Ollama does not have it; get it with `ollama pull {wire_model}`"))
    if wire_model in ollama.too_big:
        found.append(("memory", ollama.too_big[wire_model]))
    return found
