"""Which model of a catalogue was evaluated: its name may stand for another one tomorrow."""

from __future__ import annotations

import hashlib

import rfc8785

from maestro.llm.catalogue import Catalogue


def entry_digest(catalogue: Catalogue, model: str) -> str:
    """``sha256:…`` over what the answers of a model depend on in its entry; empty when there is no such model.

    Price, weight, quality, key and limits of calls are no part of it: they change what is paid and chosen, not what is
    answered, and weights follow from evaluations themselves.
    """
    found = catalogue.models.get(model)
    if found is None:
        return ""
    parts = [
        found.provider,
        found.kind,
        found.litellm,
        found.wire_model,
        found.api_base,
        found.region,
        found.context,
        found.max_output,
    ]
    return f"sha256:{hashlib.sha256(rfc8785.dumps(parts)).hexdigest()}"
