"""The choice: every candidate gets a verdict, then the best of what is left is taken. Pure, and quick.

Nothing is asked here and nothing is reserved: all that is known comes as a :class:`~maestro.llm.state.State`. Only the
decision's id, when none is given, does not follow from the arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from maestro.ledger.model import Attribution
from maestro.llm.catalogue import Catalogue, Model
from maestro.llm.decision_id import decision_id
from maestro.llm.judging import BEATEN, Budgets, Terms, against, budgets_of, terms_of
from maestro.llm.model import Decision, ModelRequest, NoModelError, Verdict
from maestro.llm.overriding import applicable
from maestro.llm.ranking import assumed, costs, seconds, total
from maestro.llm.state import Override, State
from maestro.llm.targets import Candidate, Group, candidate_of, group_of
from maestro.llm.tokens import TokenCount, count
from maestro.llm.wording import Chosen, none_left, why

_NOT_SET_UP = frozenset({"no_key", "not_running"})


@dataclass(slots=True)
class _Judged:
    """A candidate on its way to a verdict."""

    candidate: Candidate
    group: int
    skipped: list[tuple[str, str]]
    most: int | None
    cost: float
    time: float | None
    scores: dict[str, float]
    rank: tuple[float, ...] = ()


def decide(
    request: ModelRequest,
    attribution: Attribution,
    state: State,
    catalogue: Catalogue,
    *,
    tokens: TokenCount | None = None,
    override: Override | None = None,
    id: str = "",
) -> Decision:
    """Which model answers this request, in which order others are tried, and why.

    Args:
        tokens: of the request's input; None: they are counted here, which takes longer than the choice.
        override: one that holds for this request alone, before those of ``state``.
        id: of the decision; empty: a new one.

    Raises:
        NoModelError: the target names nothing. Where no candidate is left, ``chosen`` is None instead.
    """
    if tokens is None:
        tokens = count(None, request.messages, request.options)
    groups = [group_of(catalogue, request.target)]
    groups += [group_of(catalogue, target) for target in request.fallback]
    budgets = budgets_of(state.balances)
    soft = bool(budgets.soft)
    judged: dict[str, _Judged] = {}
    terms: list[Terms] = []
    for number, group in enumerate(groups):
        found = terms_of(group, request, attribution, tokens.likely, soft=soft)
        terms.append(found)
        fresh = [
            _judge(candidate, number, found, state, budgets, tokens, request.max_output_tokens)
            for candidate in group.candidates
            if candidate.name not in judged
        ]
        _rank(fresh, group, found, soft=soft)
        for one in fresh:
            judged[one.candidate.name] = one
    ordered = sorted((one for one in judged.values() if not one.skipped), key=_place)
    last_resort = False
    first = ordered[0] if ordered else None
    if first is not None and first.candidate.model.offline and not _by_name(first, groups, request):
        ordered = _no_stopgap(ordered, judged)
    if not ordered:
        resort = _last_resort(catalogue, judged, terms[0], state, budgets, tokens, request)
        if resort is not None:
            judged[resort.candidate.name] = resort
            last_resort = not resort.skipped
            ordered = [resort] if last_resort else []
    used: Override | None = None
    refused = ""
    if override is not None or state.overrides:
        wanted = override or applicable(state.overrides, groups[0].target, request.target, attribution, state.at)
        if wanted is not None:
            used, refused, ordered = _overridden(
                wanted, judged, ordered, catalogue, terms[0], state, budgets, tokens, request
            )
            last_resort = last_resort and used is None
    verdicts = tuple(
        Verdict(
            one.candidate.name,
            one.candidate.model.provider,
            tuple(one.skipped),
            one.scores,
            one.most,
            one.candidate.model.region,
        )
        for one in judged.values()
    )
    group = groups[ordered[0].group if ordered else 0]
    sentence = (
        why(
            Chosen(
                request=request,
                group=group,
                first=groups[0],
                winner=ordered[0].candidate,
                most=ordered[0].most,
                scores=ordered[0].scores,
                usable=len(ordered),
                verdicts=verdicts,
                preferred=ordered[0].candidate.name in terms[ordered[0].group].prefer,
                terms=terms[ordered[0].group],
                soft=budgets.soft,
                override=used,
                last_resort=last_resort,
            )
        )
        if ordered
        else none_left(groups[0], verdicts, budgets, tokens.at_most + request.max_output_tokens)
    )
    return Decision(
        id=id or decision_id(state.at),
        at=state.at,
        attribution=attribution,
        target=request.target,
        route=group.route.name,
        objective=group.route.objective,
        candidates=verdicts,
        chosen=ordered[0].candidate.name if ordered else None,
        why=f"{sentence} {refused}".strip(),
        order=tuple([one.candidate.name for one in ordered]),
        input_tokens=tokens.likely,
        max_output_tokens=request.max_output_tokens,
        downshift=tuple([str(one.scope) for one in budgets.soft]) if soft else (),
        policy=_policy(state, ordered, judged),
        override=used.id if used else None,
        prompt=request.prompt,
        catalogue=catalogue.digest,
    )


def candidates_of(request: ModelRequest, catalogue: Catalogue, overrides: Sequence[Override] = ()) -> tuple[Model, ...]:
    """The models a decision about this request may judge, for whoever fills the state (policy, health).

    Args:
        overrides: those the state will have; the models they name are among the result.

    Raises:
        NoModelError: the target names nothing.
    """
    found = {
        candidate.name: candidate.model
        for target in (request.target, *request.fallback)
        for candidate in group_of(catalogue, target).candidates
    }
    for one in overrides:
        if one.model in catalogue.models:
            found.setdefault(one.model, catalogue.models[one.model])
    if catalogue.last_resort is not None:
        found.setdefault(catalogue.last_resort, catalogue.models[catalogue.last_resort])
    return tuple(found.values())


def refusal(decision: Decision) -> NoModelError:
    """The error for a decision that has chosen nothing."""
    codes = {code for verdict in decision.candidates for code, _ in verdict.skipped}
    steps = []
    if "no_key" in codes:
        steps.append("set a key")
    if "over_budget" in codes:
        steps.append("ask for less, or have the budget raised (`maestro budget show`)")
    return NoModelError(
        decision.why, decision=decision, next_step=f"{' or '.join([*steps, f'see `maestro llm why {decision.id}`'])}"
    )


def _judge(
    candidate: Candidate,
    group: int,
    terms: Terms,
    state: State,
    budgets: Budgets,
    tokens: TokenCount,
    max_output: int,
) -> _Judged:
    most, cost = costs(candidate, tokens, max_output)
    return _Judged(
        candidate,
        group,
        against(candidate, terms, state, budgets, tokens, max_output, most),
        most,
        cost,
        seconds(candidate, state.latency, state.queue) if state.latency else None,
        {},
    )


def _rank(
    found: list[_Judged],
    group: Group,
    terms: Terms,
    *,
    soft: bool,
) -> None:
    """Fills in scores and ranks of one group's candidates; with ``soft`` the cheaper ones come first."""
    usable = [one for one in found if not one.skipped]
    downshift = group.route.downshift if soft else ()
    objective = "cost" if soft and group.kind != "model" else group.route.objective
    costs = [one.cost for one in usable if not one.candidate.model.offline] or [0.0]
    guess = assumed([one.time for one in usable])
    cheapest = min(costs)
    quickest = min([guess if one.time is None else one.time for one in usable], default=guess)
    prefer = terms.prefer
    for one in found:
        candidate = one.candidate
        model = candidate.model
        time = guess if one.time is None else one.time
        score = total(
            objective,
            candidate,
            place=candidate.position,
            cost=one.cost,
            cheapest=cheapest,
            time=time,
            quickest=quickest,
        )
        one.scores = {"quality": model.quality, "cost": one.cost, "weight": model.weight, "total": score}
        if one.time is not None or objective == "latency":
            one.scores["latency"] = time
        if not one.skipped:
            name = candidate.name
            one.rank = (
                one.group,
                prefer.index(name) if name in prefer else len(prefer),
                downshift.index(name) if name in downshift else len(downshift),
                -score,
                one.cost,
                candidate.position,
            )


def _by_name(one: _Judged, groups: list[Group], request: ModelRequest) -> bool:
    return groups[one.group].kind == "model" or one.candidate.name in request.fallback


def _no_stopgap(ordered: list[_Judged], judged: dict[str, _Judged]) -> list[_Judged]:
    """Without the offline provider where a model was only too expensive: a budget that is used up is a stop."""
    if not any(one.skipped and _codes(one) == {"over_budget"} for one in judged.values()):
        return ordered
    for one in ordered:
        if one.candidate.model.offline:
            one.skipped = [("over_budget", "the budget is used up, and then nothing answers in a model's place")]
    return [one for one in ordered if not one.skipped]


def _place(one: _Judged) -> tuple[float, ...]:
    return one.rank


def _last_resort(
    catalogue: Catalogue,
    judged: dict[str, _Judged],
    terms: Terms,
    state: State,
    budgets: Budgets,
    tokens: TokenCount,
    request: ModelRequest,
) -> _Judged | None:
    """The model that answers when nothing of what was asked for is set up; None: it is not so, or there is none."""
    name = catalogue.last_resort
    if name is None or (name in judged and "quality_floor" not in _codes(judged[name])):
        return None
    others = [one for one in judged.values() if one.candidate.name != name]
    allowed = [one for one in others if not one.candidate.forbidden]
    # What is denied has no stand-in; beside it, what is allowed may merely not be set up.
    if (others and not allowed) or not all(_codes(one) & _NOT_SET_UP for one in allowed):
        return None
    # That it is worse than what was asked for is known; every other reason holds for it as well.
    lenient = replace(terms, floor=0.0)
    found = _judge(
        candidate_of(catalogue, name, len(judged)), 0, lenient, state, budgets, tokens, request.max_output_tokens
    )
    model = found.candidate.model
    found.scores = {"quality": model.quality, "cost": found.cost, "weight": model.weight, "total": 0.0}
    return found


def _overridden(
    override: Override,
    judged: dict[str, _Judged],
    ordered: list[_Judged],
    catalogue: Catalogue,
    terms: Terms,
    state: State,
    budgets: Budgets,
    tokens: TokenCount,
    request: ModelRequest,
) -> tuple[Override | None, str, list[_Judged]]:
    """The override if it can be followed, else why not; and the order that follows from it."""
    if override.model not in catalogue.models:
        return None, f"The override {override.id} names '{override.model}', which is no model.", ordered
    one = judged.get(override.model)
    if one is None:
        one = _judge(
            candidate_of(catalogue, override.model, len(judged)),
            0,
            terms,
            state,
            budgets,
            tokens,
            request.max_output_tokens,
        )
        model = one.candidate.model
        one.scores = {"quality": model.quality, "cost": one.cost, "weight": model.weight, "total": 0.0}
        judged[override.model] = one
    forbidden = set(one.candidate.forbidden)
    standing = [reason for reason in one.skipped if reason[0] not in BEATEN or reason in forbidden]
    if standing:
        told = "; ".join(sentence for _, sentence in standing)
        refused = f"The override {override.id} to {override.model} could not be followed: {told}."
        if override.strict:
            for other in ordered:
                other.skipped = [("override", f"override {override.id} allows {override.model} and nothing else")]
            return None, refused, []
        return None, refused, ordered
    one.skipped = []
    others = [other for other in ordered if other is not one]
    if override.strict:
        for other in others:
            other.skipped = [("override", f"override {override.id} allows {override.model} and nothing else")]
        others = []
    return override, "", [one, *others]


def _codes(one: _Judged) -> set[str]:
    return {code for code, _ in one.skipped}


def _policy(state: State, ordered: list[_Judged], judged: dict[str, _Judged]) -> dict[str, object] | None:
    """What the policy said of the chosen model; where none was chosen, of the first one it denied."""
    if state.policy is None:
        return None
    names = [one.candidate.name for one in ordered[:1]] or [
        name for name, one in judged.items() if "policy" in _codes(one)
    ]
    verdict = state.policy.get(names[0]) if names else None
    if verdict is None:
        return None
    return {"model": names[0], "allow": verdict.allow, "reasons": list(verdict.reasons), "decision": verdict.decision}
