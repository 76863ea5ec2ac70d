"""Decisions for other programs: JSON Lines with all of it, CSV with one line a decision."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from maestro.ledger.model import dollars
from maestro.llm.decision_documents import decision_json, moment, outcome_json
from maestro.llm.decision_lines import canonical
from maestro.llm.decisions import Kept

COLUMNS = (
    "decision", "at", "tenant", "project", "pull_request", "run", "step", "actor", "target", "route", "objective",
    "chosen", "why", "skipped", "downshift", "override", "prompt", "prompt_version", "catalogue", "state", "model",
    "provider", "input_tokens", "output_tokens", "cached_tokens", "estimated", "usd", "seconds", "first_token",
    "attempts", "error",
)  # fmt: skip
"""Of the CSV; ``skipped`` is ``model:code`` for every candidate that was passed over, apart by spaces."""


def export(found: Iterable[Kept], form: Literal["jsonl", "csv"]) -> Iterator[str]:
    """Lines with their ends."""
    if form == "jsonl":
        for one in found:
            yield canonical(kept_json(one)) + "\n"
        return
    yield _line(COLUMNS)
    for one in found:
        yield _line([_cell(value) for value in _row(one)])


def kept_json(kept: Kept) -> dict[str, Any]:
    """The decision, with its outcome under ``outcome``."""
    outcome = kept.outcome
    return {**decision_json(kept.decision), "outcome": None if outcome is None else outcome_json(outcome)}


def _row(kept: Kept) -> list[Any]:
    decision, outcome, who = kept.decision, kept.outcome, kept.decision.attribution
    skipped = " ".join(f"{one.model}:{code}" for one in decision.candidates for code, _ in one.skipped[:1])
    row: list[Any] = [
        decision.id, moment(decision.at), who.tenant, who.project, who.pull_request, who.run, who.step, who.actor,
        decision.target, decision.route, decision.objective, decision.chosen, decision.why, skipped,
        " ".join(decision.downshift), decision.override, decision.prompt and decision.prompt.name,
        decision.prompt and decision.prompt.version, decision.catalogue,
    ]  # fmt: skip
    if outcome is None:
        return [*row, "open", *[None] * (len(COLUMNS) - len(row) - 1)]
    return [
        *row, outcome.state, outcome.model, outcome.provider, outcome.input_tokens, outcome.output_tokens,
        outcome.cached_tokens, outcome.estimated, f"{dollars(outcome.cost_nano):.9f}", f"{outcome.seconds:.3f}",
        f"{outcome.first_token:.3f}", len(outcome.attempts), outcome.error,
    ]  # fmt: skip


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    # A spreadsheet would take these for formulas.
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
