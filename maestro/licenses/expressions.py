"""SPDX expressions as a small tree, over the parser and the licence list of license-expression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

LONGEST = 1024
"""Characters of an expression that is still parsed."""
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class And:
    """All of the parts apply."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the parts may be chosen."""

    parts: tuple[Expression, ...]


Expression: TypeAlias = "And | Or | str"
"""A tree whose leaves are identifiers (``MIT``), with their exception if they have one (``GPL-2.0-only WITH …``)."""


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression | None:
    """``text`` as a tree (SPDX 2.3, annex D); None when it is none.

    Identifiers get the spelling of the SPDX list, deprecated ones their successors. Unknown ones are none, but for
    ``LicenseRef-…``.
    """
    if len(text) > LONGEST:
        return None
    licensing = _licensing()
    try:
        tree = licensing.parse(text, strict=True)
        return None if tree is None else _converted(tree, licensing, 0)
    except Exception:  # noqa: BLE001 - the parser has errors of several kinds for text that is no expression
        return None


@lru_cache(maxsize=1)
def _licensing() -> Any:
    from license_expression import get_spdx_licensing  # type: ignore[import-untyped] # it ships no types

    return get_spdx_licensing()


def _converted(tree: Any, licensing: Any, depth: int) -> Expression:
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(tree, licensing.AND | licensing.OR):
        parts = tuple(_converted(part, licensing, depth + 1) for part in tree.args)
        return And(parts) if isinstance(tree, licensing.AND) else Or(parts)
    for key in licensing.unknown_license_keys(tree):
        if "LicenseRef-" not in key:
            raise ValueError("not on the SPDX list")
    return str(tree.render("{symbol.key}"))
