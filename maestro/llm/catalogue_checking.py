"""The library's complaints about a catalogue file in words for people, each at its place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from maestro.llm.catalogue_file import (
    SECTIONS,
    AnyEntry,
    ConditionEntry,
    ModelsFile,
    PolicyEntry,
    PriceEntry,
    RestrictEntry,
    RuleEntry,
)
from maestro.llm.catalogue_problems import Problem, did_you_mean
from maestro.llm.catalogue_reading import Tree, Where

_TYPES = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
}
_PATTERNS = {
    "as_of": "a date, YYYY-MM-DD",
    "key": "a reference to a key, env:NAME or file:/path, never the key itself",
    "api_base": "a URL, http:// or https://, without a user or a query",
    "metrics": "a URL, http:// or https://, without a user or a query",
    "branches": "names of branches, which may have * in them and one ! before them",
}

_LETTERS = "a name begins with a letter or digit, and has at most 128 of: letters a-z and A-Z, digits, . _ : / @ + -"
_WORDS = "a name begins with a letter, and has at most 64 of: letters a-z, digits, _ -"
_NAMES = {"models": _LETTERS, "routes": _WORDS, "providers": _WORDS}
_SINGLE: dict[str | int, type[BaseModel]] = {"restrict": RestrictEntry, "policy": PolicyEntry}
_INNER: dict[str | int, type[BaseModel]] = {
    "rules": RuleEntry,
    "when": ConditionEntry,
    "any": AnyEntry,
    "price": PriceEntry,
}


Partial = Mapping[str, Mapping[str, BaseModel]]
"""Section -> name -> what is right of an entry that is wrong."""


def check(tree: Tree) -> tuple[ModelsFile, Partial, list[Problem]]:
    """The file's content without the entries that are wrong, what is right of those, and what is wrong with them."""
    try:
        return ModelsFile.model_validate(tree.data), {}, []
    except ValidationError as error:
        data = {key: dict(value) if isinstance(value, dict) else value for key, value in tree.data.items()}
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            section, *rest = one["loc"]
            if section in SECTIONS and rest and isinstance(data.get(str(section)), dict):
                data[str(section)].pop(rest[0], None)
            else:
                data.pop(str(section), None)
        return ModelsFile.model_validate(data), _partial(tree, error), list(dict.fromkeys(_problems(tree, error)))


def _partial(tree: Tree, error: ValidationError) -> Partial:
    """Wrong entries without their wrong fields, so that what else they name can be looked at as well."""
    found: dict[str, dict[str, BaseModel]] = {section: {} for section in SECTIONS}
    wrong: dict[tuple[str, str], set[str | int]] = {}
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        section, *rest = one["loc"]
        if section in SECTIONS and rest:
            wrong.setdefault((str(section), str(rest[0])), set()).update(rest[1:2])
    for (section, name), fields in wrong.items():
        entries = tree.data[section]
        entry = entries.get(name) if isinstance(entries, dict) else None
        if isinstance(entry, dict):
            right = {key: value for key, value in entry.items() if key not in fields}
            with contextlib.suppress(ValidationError):
                found[section][name] = SECTIONS[section].model_validate(right)
    return found


def _problems(tree: Tree, error: ValidationError) -> Iterator[Problem]:
    for one in error.errors(include_url=False, include_context=True, include_input=True):
        path, name = _place(tree, one["loc"])
        yield _problem(tree, path, name, one)


def _place(tree: Tree, location: tuple[int | str, ...]) -> tuple[Where, bool]:
    """The path in the file: without what the library puts in for choices; and whether a key is meant."""
    path: Where = ()
    for part in location:
        if part == "[key]":
            return path, True
        if (*path, part) in tree.values:
            path = (*path, part)
    return path, False


def _problem(tree: Tree, path: Where, name: bool, error: Mapping[str, Any]) -> Problem:
    kind = str(error["type"])
    context: Mapping[str, Any] = error.get("ctx") or {}
    last = next((str(part) for part in reversed(path) if isinstance(part, str)), "the file")
    if kind == "extra_forbidden":
        known = _known(path)
        shown = _shown(str(path[-1]))
        return tree.problem(
            path,
            f"unknown key '{shown}' in {_named(path[:-1])}{did_you_mean(shown, known)}; known: {', '.join(known)}",
            key=True,
        )
    if kind == "missing":
        return tree.problem(path, f"{_named(path)} needs '{error['loc'][-1]}'")
    if name:
        return tree.problem(path, f"'{_shown(str(path[-1]))}' is no usable name: {_NAMES[str(path[0])]}", key=True)
    if kind in _TYPES:
        return tree.problem(path, f"'{last}' must be {_TYPES[kind]}, not {_what(error.get('input'))}")
    if kind == "literal_error":
        allowed = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")
        given = error.get("input")
        guess = did_you_mean(given, allowed) if isinstance(given, str) else ""
        return tree.problem(path, f"'{last}' must be {' or '.join(allowed)}, not {_what(given)}{guess}")
    if kind == "string_pattern_mismatch":
        wanted = _PATTERNS.get(last, "a name: letters, digits and - _ . : /")
        return tree.problem(path, f"'{last}' must be {wanted}")
    limits = {
        "greater_than": ("more than", "gt"),
        "greater_than_equal": ("at least", "ge"),
        "less_than": ("less than", "lt"),
        "less_than_equal": ("at most", "le"),
    }
    if kind in limits:
        words, key = limits[kind]
        return tree.problem(path, f"'{last}' must be {words} {context.get(key)}, not {_what(error.get('input'))}")
    if kind in ("too_short", "too_long"):
        few = kind == "too_short"
        limit = context.get("min_length" if few else "max_length")
        return tree.problem(path, f"'{last}' must have at {'least' if few else 'most'} {limit} entries")
    if kind == "string_too_long":
        return tree.problem(path, f"'{last}' must have at most {context.get('max_length')} characters")
    return tree.problem(path, f"'{last}' cannot be used as it is: {_what(error.get('input'))}")


def _known(path: Where) -> list[str]:
    """The keys that may stand beside the one at ``path``."""
    model: type[BaseModel] = ModelsFile
    if path[0] in SECTIONS and len(path) > 2:
        model = SECTIONS[str(path[0])]
    elif path[0] in _SINGLE and len(path) > 1:
        model = _SINGLE[path[0]]
    for part in path[2:-1]:
        model = _INNER.get(part, model)
    return list(model.model_fields)


def _named(path: Where) -> str:
    if not path:
        return "the file"
    if len(path) >= 2 and path[0] in SECTIONS:
        inner = ", ".join(f"'{part}'" if isinstance(part, str) else f"entry {part + 1}" for part in path[2:])
        return f"{str(path[0])[:-1]} {path[1]}" + (f" ({inner})" if inner else "")
    return f"'{path[-1]}'" if isinstance(path[-1], str) else f"entry {path[-1] + 1} of '{path[-2]}'"


def _what(value: Any) -> str:
    """What a value is; a text is not repeated, since it may be a secret in the wrong place."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value}"
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= 12 and value.replace("-", "").replace("_", "").isalpha() else "that text"
    return "a mapping" if isinstance(value, dict) else "a list"


def _shown(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:59]}…"
