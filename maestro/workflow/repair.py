"""Takes the wrong parts out of a document's data, so that the rest of it can still be checked."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from maestro.notation.document import Path
from maestro.notation.shape import Fault
from maestro.workflow.plain import raw_steps

UNKNOWN_KIND = "?"
_STAGE_LISTS = ("steps", "parallel")


def repair(data: Any, faults: Iterable[Fault]) -> tuple[Any, frozenset[str]]:
    """A copy of ``data`` without what ``faults`` point at, and every name that may have got lost with it."""
    lost = frozenset(_names(data))
    fixed = copy.deepcopy(data)
    if not isinstance(fixed, dict):
        return fixed, lost
    # Positions must stay as they are in the file, so wrong steps and stages are replaced, never removed.
    for fault in sorted(faults, key=lambda fault: len(fault.path)):
        _repair_one(fixed, fault.path)
    return fixed, lost


def _repair_one(data: dict[str, Any], path: Path) -> None:
    if not path:
        return
    if path[0] == "stages" and len(path) > 1 and isinstance(data.get("stages"), list):
        _repair_stage(data["stages"], path)
    elif path[0] == "finally" and len(path) > 1 and isinstance(data.get("finally"), list):
        _repair_step(data["finally"], path[1:])
    elif path[0] == "params" and len(path) > 1 and isinstance(data.get("params"), dict):
        parameters: dict[Any, Any] = data["params"]
        if len(path) > 2 and isinstance(parameters.get(path[1]), dict):
            parameters[path[1]].pop(path[2], None)
        else:
            parameters.pop(path[1], None)
    elif path[0] == "name":
        data["name"] = "unnamed"
    else:
        data.pop(str(path[0]), None)


def _repair_stage(stages: list[Any], path: Path) -> None:
    index = path[1]
    if not isinstance(index, int) or index >= len(stages):
        return
    if not isinstance(stages[index], dict):
        stages[index] = {}
    stage = stages[index]
    key = path[2] if len(path) > 2 else None
    if key in _STAGE_LISTS and len(path) > 3 and isinstance(stage.get(key), list):
        _repair_step(stage[key], path[3:])
    elif key == "name":
        stage["name"] = f"unnamed-{index + 1}"
    elif key is not None and key not in _STAGE_LISTS:
        stage.pop(key, None)
    else:
        usable = next((name for name in _STAGE_LISTS if isinstance(stage.get(name), list) and stage[name]), None)
        members = stage.get(usable) if usable else [{"run": UNKNOWN_KIND}]
        for name in _STAGE_LISTS:
            stage.pop(name, None)
        stage[usable or "steps"] = members
        stage.setdefault("name", f"unnamed-{index + 1}")


def _repair_step(steps: list[Any], path: Path) -> None:
    index = path[0]
    if not isinstance(index, int) or index >= len(steps):
        return
    step = steps[index]
    key = path[1] if len(path) > 1 else None
    if not isinstance(step, dict):
        steps[index] = {"run": UNKNOWN_KIND}
    elif key is None:
        steps[index] = {name: step[name] for name in ("id", "run") if isinstance(step.get(name), str)}
    elif key == "run":
        step["run"] = UNKNOWN_KIND
    else:
        step.pop(key, None)
        if key == "cache_key" and isinstance(step.get("with"), dict):
            step["with"].pop("cache_key", None)


def _names(data: Any) -> Iterable[str]:
    """``params.<name>``, ``steps.<id>``, ``stage.<name>`` … of everything that ``data`` declares."""
    if not isinstance(data, dict):
        return
    for key in ("params", "secrets", "env"):
        found = data.get(key)
        if isinstance(found, dict | list):
            yield from (f"{key}.{name}" for name in found)
    stages = data.get("stages")
    for stage in stages if isinstance(stages, list) else ():
        if isinstance(stage, dict) and isinstance(stage.get("name"), str):
            yield f"stage.{stage['name']}"
    for _, step in raw_steps(data):
        if isinstance(step.get("id"), str):
            yield f"steps.{step['id']}"
        for key in ("env", "matrix"):
            if isinstance(step.get(key), dict):
                yield from (f"{key}.{name}" for name in step[key])
