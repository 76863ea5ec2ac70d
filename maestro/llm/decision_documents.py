"""Decisions and outcomes as JSON texts, and back."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from maestro.errors import MaestroError
from maestro.ledger.model import Attribution
from maestro.llm.model import Attempt, Decision, PromptRef, Verdict

if TYPE_CHECKING:
    from maestro.llm.decisions import Outcome


def decision_json(decision: Decision) -> dict[str, Any]:
    """A dict of JSON types, for export and for :func:`decision_from`."""
    who = decision.attribution
    return {
        "id": decision.id,
        "at": moment(decision.at),
        "attribution": {
            "tenant": who.tenant,
            "project": who.project,
            "pull_request": who.pull_request,
            "run": who.run,
            "step": who.step,
            "actor": who.actor,
        },
        "target": decision.target,
        "route": decision.route,
        "objective": decision.objective,
        "candidates": [
            {
                "model": one.model,
                "provider": one.provider,
                "skipped": [list(reason) for reason in one.skipped],
                "scores": dict(one.scores),
                "worst_nano": one.worst_nano,
                "region": one.region,
            }
            for one in decision.candidates
        ],
        "chosen": decision.chosen,
        "why": decision.why,
        "order": list(decision.order),
        "input_tokens": decision.input_tokens,
        "max_output_tokens": decision.max_output_tokens,
        "downshift": list(decision.downshift),
        "policy": None if decision.policy is None else dict(decision.policy),
        "override": decision.override,
        "prompt": None if decision.prompt is None else asdict(decision.prompt),
        "catalogue": decision.catalogue,
    }


def decision_text(decision: Decision) -> str:
    """Compact JSON."""
    return json.dumps(decision_json(decision), separators=(",", ":"), allow_nan=False)


def decision_from(text: str) -> Decision:
    """The decision a text holds.

    Raises:
        MaestroError: it holds none.
    """
    try:
        found = json.loads(text)
        prompt = found["prompt"]
        known = {one.name for one in fields(Decision)}
        return Decision(
            **{
                **{key: value for key, value in found.items() if key in known},
                "at": datetime.fromisoformat(found["at"]),
                "attribution": Attribution(**found["attribution"]),
                "candidates": tuple(
                    Verdict(
                        one["model"],
                        one["provider"],
                        tuple((code, sentence) for code, sentence in one["skipped"]),
                        one["scores"],
                        one["worst_nano"],
                        one["region"],
                    )
                    for one in found["candidates"]
                ),
                "order": tuple(found["order"]),
                "downshift": tuple(found["downshift"]),
                "prompt": None if prompt is None else PromptRef(**prompt),
            }
        )
    except (ValueError, KeyError, TypeError) as error:
        raise MaestroError(
            f"a kept decision cannot be read: {type(error).__name__}", next_step="report this; the row was changed"
        ) from None


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """A dict of JSON types."""
    # By name, since asdict copies every value and takes ten times as long.
    return {**_by_name(outcome), "at": moment(outcome.at), "attempts": [_by_name(one) for one in outcome.attempts]}


def _by_name(value: Outcome | Attempt) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def outcome_text(outcome: Outcome) -> str:
    """Compact JSON."""
    return json.dumps(outcome_json(outcome), separators=(",", ":"), allow_nan=False)


def outcome_from(text: str) -> dict[str, Any]:
    """The fields of the outcome a text holds.

    Raises:
        MaestroError: it holds none.
    """
    try:
        found = json.loads(text)
        return {
            **found,
            "at": datetime.fromisoformat(found["at"]),
            "attempts": tuple(Attempt(**one) for one in found["attempts"]),
        }
    except (ValueError, KeyError, TypeError) as error:
        raise MaestroError(
            f"a kept outcome cannot be read: {type(error).__name__}", next_step="report this; the row was changed"
        ) from None


def moment(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
