"""Binds a step's record to the statements made from it, as whoever can write to the store can change a record."""

from __future__ import annotations

import hashlib
import json

from maestro.artifacts import StepRecord

_FACTS = (
    "kind",
    "kind_version",
    "cache_key",
    "passed",
    "summary",
    "exit_code",
    "outputs",
    "values",
    "subjects",
    "materials",
    "params",
    "key_parts",
    "claims",
    "log",
    "made_by_run",
    "made_started",
    "made_seconds",
)


def result_digest(record: StepRecord) -> str:
    """``sha256:<hex>`` over what the step did, wherever and whenever that is used again.

    Names of workflow and step, revision and run are no part of it: a result from the cache has those of whoever uses
    it. Neither are the table for people and the statements themselves.
    """
    document = record.to_json()
    facts = {name: document[name] for name in _FACTS}
    data = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(data.encode()).hexdigest()}"
