"""A decision as a table: every candidate with its verdict, in words and numbers for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro.ledger.model import Unit, money, shown
from maestro.llm.wording import WORDS

if TYPE_CHECKING:
    from maestro.llm.decisions import Outcome
    from maestro.llm.model import Attempt, Decision, Verdict

COLUMNS = ("model", "verdict", "quality", "costs", "at most", "takes", "score", "because")
"""Headings of :func:`why_table`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate.

    Args:
        verdict: ``chosen``; ``answered`` (another one than was chosen); ``failed``; ``2nd``, ``3rd`` …: would have been
            tried next; else the first reason in a few words.
        because: sentences, what speaks against it and how it failed; empty for one that was merely less good.
        against: what spoke against it before anybody was asked.
        usable: nothing spoke against it.
    """

    model: str
    verdict: str
    quality: str
    costs: str
    at_most: str
    takes: str
    score: str
    because: str
    against: str
    usable: bool

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of :data:`COLUMNS`."""
        return (
            self.model, self.verdict, self.quality, self.costs, self.at_most, self.takes, self.score, self.because,
        )  # fmt: skip


def why_table(decision: Decision, outcome: Outcome | None = None) -> tuple[Row, ...]:
    """The candidates: those that could be used in their order, then the others as the decision has them."""
    place = {name: number for number, name in enumerate(decision.order)}
    ordered = sorted(enumerate(decision.candidates), key=lambda item: (place.get(item[1].model, len(place)), item[0]))
    return tuple(_row(verdict, decision, outcome, place.get(verdict.model)) for _, verdict in ordered)


def headline(decision: Decision, model: str | None, attempts: Sequence[Attempt] = ()) -> str:
    """The answer to "why this model": that of the decision, unless it came otherwise than was decided.

    Args:
        model: the one that answered; None: none did, or it is not known yet.
    """
    if not model or model == decision.chosen:
        return decision.why
    tried: dict[str, list[Attempt]] = {}
    for one in attempts:
        if one.outcome != "ok" and one.model != model:
            tried.setdefault(one.model, []).append(one)
    if not tried:
        return decision.why
    failed = "; ".join(f"{name} failed ({_how(found)})" for name, found in tried.items())
    return f"{model} answered, because {failed}. Chosen at first: {decision.why}"


def troubles(outcome: Outcome | None) -> tuple[tuple[str, str, str], ...]:
    """What went wrong on the way: model, in a few words what, and its own words; as it happened, equal ones once."""
    times: Counter[tuple[str, str, str]] = Counter()
    for one in outcome.attempts if outcome else ():
        if one.outcome != "ok":
            times[one.model, WORDS.get(one.outcome, one.outcome.replace("_", " ")), _how([one])] += 1
    return tuple(
        (model, what if number == 1 else f"{what}, {number} times", reason)
        for (model, what, reason), number in times.items()
    )


def _how(failures: Sequence[Attempt]) -> str:
    last = failures[-1]
    # Its own name stands before it already.
    reason = (last.reason or WORDS.get(last.outcome, last.outcome)).removeprefix(f"{last.model}: ").rstrip(".")
    return reason if len(failures) == 1 else f"{reason}, {len(failures)} times"


def why_facts(decision: Decision, outcome: Outcome | None = None) -> tuple[tuple[str, str], ...]:
    """What stands above the table: heading and text, the answer to "why" first."""
    who = decision.attribution
    asked = decision.target or f"nothing in particular, so route {decision.route}"
    place = f"{who.tenant}/{who.project}" + (f"#{who.pull_request}" if who.pull_request is not None else "")
    by = f"{who.actor} for {place}"
    by += f", run {who.run}" if who.run else ""
    by += f", step {who.step}" if who.step else ""
    found = [
        ("why", _why(decision, outcome)),
        ("asked for", asked),
        ("by", by),
        ("request", f"about {decision.input_tokens:,} tokens, up to {decision.max_output_tokens:,} for the answer"),
    ]
    if decision.prompt is not None:
        found.append(("prompt", f"{decision.prompt.name} {decision.prompt.version}"))
    if decision.downshift:
        found.append(("downshift", f"over 80 % of the budget: {', '.join(decision.downshift)}"))
    if decision.override:
        found.append(("override", decision.override))
    if decision.policy is not None:
        reasons = "; ".join(str(one) for one in decision.policy.get("reasons", ()))
        word = "allows it" if decision.policy.get("allow") else f"denies it: {reasons}"
        found.append(("policy", word))
    found.append(("outcome", _outcome(outcome)))
    return tuple(found)


def _why(decision: Decision, outcome: Outcome | None) -> str:
    if outcome is None or outcome.state not in ("answered", "cached", "refused"):
        return decision.why
    return headline(decision, outcome.model, outcome.attempts)


def _row(verdict: Verdict, decision: Decision, outcome: Outcome | None, place: int | None) -> Row:
    scores = verdict.scores
    cost = scores.get("cost")
    return Row(
        model=verdict.model,
        verdict=_word(verdict, decision, outcome, place),
        quality=f"{scores['quality']:g}" if "quality" in scores else "",
        costs="unknown" if verdict.worst_nano is None else money(cost) if cost else "nothing",
        at_most="unknown" if verdict.worst_nano is None else shown(Unit.USD, verdict.worst_nano),
        takes=f"{scores['latency']:.1f} s" if "latency" in scores else "",
        score=f"{scores['total']:.3f}" if verdict.usable and "total" in scores else "",
        because=_because(verdict, outcome),
        against=_because(verdict, None),
        usable=verdict.usable,
    )


def _word(verdict: Verdict, decision: Decision, outcome: Outcome | None, place: int | None) -> str:
    tried = {one.model: one.outcome for one in outcome.attempts} if outcome else {}
    if verdict.model == decision.chosen and tried.get(verdict.model, "ok") == "ok":
        return "chosen"
    if tried.get(verdict.model, "ok") != "ok":
        return f"failed: {tried[verdict.model]}"
    if outcome is not None and verdict.model == outcome.model and outcome.state in ("answered", "cached"):
        return "answered"
    if place is not None:
        return _ordinal(place + 1)
    code = verdict.skipped[0][0] if verdict.skipped else ""
    return WORDS.get(code, code) or "not tried"


def _because(verdict: Verdict, outcome: Outcome | None) -> str:
    told = [sentence for _, sentence in verdict.skipped]
    told += [one.reason for one in (outcome.attempts if outcome else ()) if one.model == verdict.model and one.reason]
    return "; ".join(dict.fromkeys(told))


def _outcome(outcome: Outcome | None) -> str:
    if outcome is None:
        return "none yet: the call is not over, or its process died"
    if outcome.state in ("answered", "cached"):
        cost = "nothing" if not outcome.cost_nano else shown(Unit.USD, outcome.cost_nano)
        source = "from the cache" if outcome.state == "cached" else f"by {outcome.model}"
        estimated = " (tokens estimated)" if outcome.estimated else ""
        return (
            f"answered {source} in {outcome.seconds:.1f} s, {outcome.input_tokens:,} + {outcome.output_tokens:,} tokens"
            f"{estimated}, cost {cost}"
        )
    return f"{outcome.state}: {outcome.error}" if outcome.error else outcome.state


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
