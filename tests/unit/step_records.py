"""A record of a step that passed, and was not in the cache."""

from __future__ import annotations

from typing import Any

from maestro.artifacts import StepRecord


def a_record(**changes: Any) -> StepRecord:
    members: dict[str, Any] = {
        "project": "shop",
        "workflow": "delivery",
        "revision": "abc",
        "step": "test/unit",
        "kind": "shell",
        "kind_version": "1",
        "cache_key": "key",
        "passed": True,
        "summary": "done",
        "outputs": (),
        "run_id": "run",
        "made_by_run": "run",
        "started": 1.0,
        "seconds": 0.5,
        "cache": "miss",
    }
    return StepRecord(**{**members, **changes})
