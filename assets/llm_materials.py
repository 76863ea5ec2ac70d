"""What an answer of a model was made from, for the evidence of whatever is delivered after it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from maestro.artifacts import Material

if TYPE_CHECKING:
    from maestro.llm.model import Answer, Decision, PromptRef


def materials_of(prompt: PromptRef | None, answer: Answer, decision: Decision | None) -> tuple[Material, ...]:
    """The prompt, the model that answered, and the decision that chose it (docs/evidence.md, build type).

    A provider says no digest of a model, so the model's is that of the catalogue which said what its name means.

    Args:
        decision: None: it is not known, and neither is the catalogue.
    """
    found = []
    if prompt is not None:
        name = f"{prompt.name} {prompt.version}"
        uri = f"maestro:prompt/{_quoted(prompt.name)}@{_quoted(prompt.version)}"
        found.append(Material(uri, _sha256(prompt.digest), f"prompt {name}"))
    if decision is not None:
        uri = f"maestro:model/{_quoted(answer.provider)}/{_quoted(answer.model)}"
        found.append(Material(uri, _sha256(decision.catalogue), f"model {answer.model}"))
        uri = f"maestro:decision/{_quoted(decision.id)}"
        found.append(Material(uri, _sha256(_digest(decision)), f"decision {decision.id}"))
    return tuple(found)


def _sha256(digest: str) -> dict[str, str]:
    return {"sha256": digest.removeprefix("sha256:")}


def _digest(decision: Decision) -> str:
    """Over what ``maestro llm export`` has of it, without the outcome."""
    from maestro.llm.decision_documents import decision_json

    data = json.dumps(decision_json(decision), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(data.encode("ascii")).hexdigest()


def _quoted(name: str) -> str:
    return quote(name, safe=":/")
