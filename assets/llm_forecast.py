"""What a model step is expected to cost, from the decision that would be made now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maestro.steps import Forecast

if TYPE_CHECKING:
    from maestro.llm.model import Decision
    from maestro.steps import Models


def worst_of(decision: Decision) -> int | None:
    """The most it may cost; of one that was refused, what it would have to be granted. None: nobody knows."""
    from maestro.llm.wording import only_over_budget

    if decision.chosen is not None:
        return next((one.worst_nano for one in decision.candidates if one.model == decision.chosen), None)
    best = only_over_budget(decision.candidates)
    return None if best is None else best.worst_nano


def refused_because(decision: Decision) -> str | None:
    """Why nothing would answer, with the budget that is in the way; None: something would."""
    from maestro.llm.wording import only_over_budget

    if decision.chosen is not None:
        return None
    best = only_over_budget(decision.candidates)
    if best is None or best.skipped[0][1] in decision.why:
        return decision.why
    return f"{decision.why} {best.model}: {best.skipped[0][1]}."


def forecast_of(decision: Decision, models: Models) -> Forecast:
    """Of one answer; what is likely is what the chosen model has cost this step, and never more than the most."""
    worst = worst_of(decision)
    refused = refused_because(decision)
    if decision.chosen is None:
        return Forecast(likely=None, at_most=worst, by=f"no model: {refused}", refused=refused)
    likely = 0 if worst == 0 else models.usual_cost(decision.chosen)
    if likely is not None and worst is not None:
        # The questions of then may have been longer.
        likely = min(likely, worst)
    return Forecast(likely=likely, at_most=worst, by=f"{decision.chosen}: {decision.why}")
