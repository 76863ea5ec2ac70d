"""Sets weights in a ``models.yaml`` and leaves everything else in it as it is, comments too."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from maestro.errors import InputError, Location

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def with_weights(text: str, weights: Mapping[str, float], file: str = "models.yaml") -> str:
    """The file with these weights; models it does not name get an entry with nothing else in it.

    Own code: PyYAML forgets comments when it writes, and a pull request is to show the changed numbers alone. What
    comes out is read again and compared.

    Raises:
        InputError: the file is no YAML, or is written in a way that cannot be changed in place.
    """
    before = _parsed(text, file)
    try:
        # New entries go to the top, the last one made first.
        for model in sorted(weights, reverse=True):
            text = _with_weight(text, model, weights[model], file)
        after = yaml.safe_load(text)
    except yaml.YAMLError:
        raise _unchangeable(file) from None
    wanted: dict[str, Any] = copy.deepcopy(before) if isinstance(before, dict) else {}
    models = wanted["models"] = dict(wanted.get("models") or {})
    for model, weight in weights.items():
        models[model] = {**(models.get(model) or {}), "weight": weight}
    if weights and after != wanted:
        raise _unchangeable(file)
    return text


def _parsed(text: str, file: str) -> Any:
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        raise InputError("this is no YAML", where=where, next_step="correct the file") from None
    if found is not None and not (isinstance(found, dict) and isinstance(found.get("models") or {}, dict)):
        raise InputError("`models` is no mapping", where=Location(file), next_step="see docs/models.md")
    return found


def _with_weight(text: str, model: str, weight: float, file: str) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return f"{text}{_line_end(text)}models:\n  {_name(model)}:\n    weight: {weight}\n"
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise _unchangeable(file)
    found = _value(root, "models")
    if found is None:
        return f"{text}{_line_end(text)}models:\n  {_name(model)}:\n    weight: {weight}\n"
    key, models = found
    if _empty(models):
        return _cut(text, key.end_mark.index, models, f":\n  {_name(model)}:\n    weight: {weight}")
    if not isinstance(models, yaml.MappingNode):
        raise _unchangeable(file)
    entry = _value(models, model)
    if entry is None:
        return _added(text, models, f"{_name(model)}: {{weight: {weight}}}")
    name, settings = entry
    if _empty(settings):
        return _cut(text, name.end_mark.index, settings, f": {{weight: {weight}}}")
    if not isinstance(settings, yaml.MappingNode):
        raise _unchangeable(file)
    old = _value(settings, "weight")
    if old is not None:
        return text[: old[1].start_mark.index] + str(weight) + text[old[1].end_mark.index :]
    return _added(text, settings, f"weight: {weight}")


def _added(text: str, mapping: yaml.MappingNode, entry: str) -> str:
    """A new first entry: of ``{…}`` behind the brace, of a block above the first one, as far to the right."""
    start = mapping.start_mark.index
    if mapping.flow_style:
        return f"{text[: start + 1]}{entry}, {text[start + 1 :]}"
    column = mapping.value[0][0].start_mark.column
    return f"{text[:start]}{entry}\n{' ' * column}{text[start:]}"


def _cut(text: str, start: int, node: yaml.Node, entry: str) -> str:
    """``entry`` in place of the colon and an empty value; a comment behind it stays."""
    end = max(node.end_mark.index, text.index(":", start) + 1)
    return text[:start] + entry + text[end:]


def _empty(node: yaml.Node) -> bool:
    if isinstance(node, yaml.ScalarNode):
        return bool(node.tag == "tag:yaml.org,2002:null")
    return isinstance(node, yaml.MappingNode) and not node.value


def _value(node: yaml.MappingNode, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next(((key, value) for key, value in node.value if key.value == name), None)


def _name(model: str) -> str:
    return model if _PLAIN.fullmatch(model) and model.lower() not in _WORDS else json.dumps(model)


def _line_end(text: str) -> str:
    return "" if not text or text.endswith("\n") else "\n"


def _unchangeable(file: str) -> InputError:
    return InputError(
        "the weights cannot be set in place, as the file uses aliases, tags, or one line for all",
        where=Location(file),
        next_step="set them by hand, or write the models one a line",
    )
