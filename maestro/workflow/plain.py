"""Small changes to a document's plain data before the models see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from maestro.notation.document import Document, Path
from maestro.workflow.params import raw_text

EXTENSION = "x-"
"""Top-level keys that start so are the reader's own: a place for anchors."""


def prepare(data: Any, document: Document) -> None:
    """Changes ``data`` in place: drops ``x-`` keys; makes kinds, environments and defaults of text parameters text.

    An environment holds text, so ``VERSION: 1.10`` means those four characters and not the number 1.1.
    """
    if not isinstance(data, dict):
        return
    for key in [key for key in data if key.startswith(EXTENSION)]:
        del data[key]
    for path, step in raw_steps(data):
        for inner, holder in ((path, step), ((*path, "compensate"), step.get("compensate"))):
            if isinstance(holder, dict) and "run" in holder:
                _make_text(holder, "run", document, (*inner, "run"))
    for path, environment in _environments(data):
        for name in environment:
            _make_text(environment, name, document, (*path, name))
    parameters = data.get("params")
    for name, parameter in parameters.items() if isinstance(parameters, dict) else ():
        if isinstance(parameter, dict) and parameter.get("type", "string") == "string":
            path = ("params", name)
            if "default" in parameter:
                _make_text(parameter, "default", document, (*path, "default"))
            if isinstance(parameter.get("enum"), list):
                for index in range(len(parameter["enum"])):
                    _make_text(parameter["enum"], index, document, (*path, "enum", index))


def raw_steps(data: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every step that is a mapping, with its path, in the order of the file; also of a file of the wrong shape."""
    if not isinstance(data, dict):
        return
    stages = data.get("stages")
    for index, stage in enumerate(stages if isinstance(stages, list) else ()):
        for key in ("steps", "parallel"):
            steps = stage.get(key) if isinstance(stage, dict) else None
            for position, step in enumerate(steps if isinstance(steps, list) else ()):
                if isinstance(step, dict):
                    yield ("stages", index, key, position), step
    final = data.get("finally")
    for position, step in enumerate(final if isinstance(final, list) else ()):
        if isinstance(step, dict):
            yield ("finally", position), step


def _environments(data: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    if isinstance(data.get("env"), dict):
        yield ("env",), data["env"]
    for path, step in raw_steps(data):
        if isinstance(step.get("env"), dict):
            yield (*path, "env"), step["env"]
        compensate = step.get("compensate")
        if isinstance(compensate, dict) and isinstance(compensate.get("env"), dict):
            yield (*path, "compensate", "env"), compensate["env"]


def _make_text(container: Any, key: str | int, document: Document, path: Path) -> None:
    if isinstance(container[key], int | float):
        text = raw_text(document, path)
        container[key] = container[key] if text is None else text
