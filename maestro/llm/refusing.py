"""Why a request goes no further, and what its caller may do about it."""

from __future__ import annotations

from collections.abc import Sequence

from maestro.ledger.model import Unit, nanodollars, shown
from maestro.llm.catalogue import Catalogue, Model
from maestro.llm.model import Attempt, Decision, ModelRequest
from maestro.llm.targets import group_of


def beyond_the_request(catalogue: Catalogue, request: ModelRequest, model: Model, spent: int, most: int) -> str:
    """Why another try could cost more than one request may, all its tries together; empty when it could not.

    Args:
        spent, most: what the tries before may have cost, and what the next costs at most; nanodollars.
    """
    if not spent:
        return ""  # The decision has looked at the first.
    groups = [group_of(catalogue, target) for target in (request.target, *request.fallback)]
    its = next((one for one in groups if any(model.name == other.name for other in one.candidates)), groups[0])
    limits = [limit for limit, _by in its.max_nano]
    if request.max_nano is not None:
        limits.append(request.max_nano)
    if catalogue.policy is not None and catalogue.policy.get("max_usd") is not None:
        limits.append(nanodollars(catalogue.policy["max_usd"], up=False))
    if not limits or spent + most <= min(limits):
        return ""
    amounts = [shown(Unit.USD, amount) for amount in (spent, most, min(limits))]
    return f"tries before may have cost {amounts[0]}, another up to {amounts[1]}, and one request may cost {amounts[2]}"


def over_budget(decision: Decision) -> bool:
    """Whether a budget speaks against any candidate."""
    return any(code == "over_budget" for verdict in decision.candidates for code, _sentence in verdict.skipped)


def after_no_model(decision: Decision) -> str:
    """The next step when no candidate is left."""
    return (
        f"`maestro llm why {decision.id}` shows what speaks against each of the {len(decision.candidates)} candidates"
    )


def after_no_answer(
    decision: Decision, attempts: Sequence[Attempt], advice: Sequence[str], *, timed_out: bool = False
) -> str:
    """The next step when none answered.

    Args:
        advice: the next steps of the providers' errors.
    """
    if timed_out:
        own = "give it more time, or ask a quicker model"
    elif any(one.outcome == "breaker_open" for one in attempts):
        own = "ask later, or another model"
    else:
        own = "ask another model"
    return "; ".join([*(advice or [own]), f"`maestro llm why {decision.id}` shows the candidates"])


def told(attempts: Sequence[Attempt]) -> list[str]:
    """The attempts as people read them, equal ones in a row once."""
    found: list[tuple[str, int]] = []
    for one in attempts:
        sentence = f"{one.model}: {one.reason or one.outcome}"
        if found and found[-1][0] == sentence:
            found[-1] = (sentence, found[-1][1] + 1)
        else:
            found.append((sentence, 1))
    return [sentence if times == 1 else f"{sentence} ({times} times)" for sentence, times in found]
