"""Whether a component's licence is among those a project allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from maestro.errors import InputError
from maestro.licenses.expressions import And, Expression, Or, parse

_MOST_CHOICES = 256
_NOT_KNOWN = frozenset({"", "NOASSERTION", "NONE"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one licence.

    Args:
        allowed: it may be used.
        reason: why not, one sentence; empty when it may.
        offending: the licences in it that are not allowed, sorted.
    """

    allowed: bool
    reason: str = ""
    offending: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a project allows.

    Args:
        expressions: as written.
        single: licences that are allowed wherever they stand.
        together: sets of licences that are allowed only with each other (``MIT AND BSD-3-Clause``).
        unknown: whether a component with no known licence is allowed.
    """

    expressions: tuple[str, ...]
    single: frozenset[str]
    together: tuple[frozenset[str], ...]
    unknown: bool = False

    @classmethod
    def of(cls, expressions: Sequence[str], *, unknown: bool = False) -> Allowance:
        """The allowance of a list of SPDX expressions.

        ``A OR B`` allows each of both, ``A AND B`` only both at once, ``A WITH B`` only with that exception.

        Raises:
            InputError: one of them is no SPDX expression.
        """
        choices: set[frozenset[str]] = set()
        for text in expressions:
            tree = parse(text)
            terms = None if tree is None else _choices(tree)
            if terms is None:
                raise InputError(
                    f"'{text[:100]}' among the allowed licences is no SPDX expression",
                    next_step="use identifiers of spdx.org/licenses, like MIT, or LicenseRef-… for others",
                )
            choices |= terms
        single = frozenset(next(iter(one)) for one in choices if len(one) == 1)
        together = sorted((one for one in choices if len(one) > 1), key=sorted)
        return cls(tuple(expressions), single, tuple(together), unknown)

    def check(self, expression: str | None) -> Verdict:
        """Whether a component under ``expression`` may be used (SPDX 2.3, annex D).

        Of ``OR`` one side must be allowed, of ``AND`` both; a licence with an exception is another licence than the
        one without. What is not known or cannot be read is not allowed, unless unknown ones are.
        """
        if expression is None or expression.strip() in _NOT_KNOWN:
            return Verdict(True) if self.unknown else Verdict(False, "its licence is not known")
        tree = parse(expression)
        if tree is None:
            return Verdict(False, f"its licence cannot be read as an SPDX expression: {expression[:100]}")
        if self._holds(tree) or self._holds_together(tree):
            return Verdict(True)
        offending = tuple(sorted(set(_names(tree)) - self.single))
        return Verdict(False, f"not allowed: {', '.join(offending)[:300]}", offending)

    def _holds(self, tree: Expression) -> bool:
        match tree:
            case And(parts):
                return all(self._holds(part) for part in parts)
            case Or(parts):
                return any(self._holds(part) for part in parts)
            case _:
                return tree in self.single

    def _holds_together(self, tree: Expression) -> bool:
        terms = _choices(tree) if self.together else None
        return any(self._covers(term) for term in terms or ())

    def _covers(self, term: frozenset[str]) -> bool:
        covered = term & self.single
        for one in self.together:
            if one <= term:
                covered |= one
        return covered == term


def for_policy(components: Iterable[Mapping[str, Any]], allowance: Allowance) -> list[dict[str, Any]]:
    """``licenses[].components`` of a policy's input.

    Args:
        components: ``purl``, ``name``, ``version`` and ``licenses`` or ``license`` of each.
        allowance: what the project allows.

    Returns:
        ``purl``, ``name``, ``version``, ``license``, ``allowed`` and ``reason`` (None when allowed) of each.
    """
    verdicts: dict[str | None, Verdict] = {}
    listed = []
    for one in components:
        expression = one.get("licenses") or one.get("license")
        if expression not in verdicts:
            verdicts[expression] = allowance.check(expression)
        verdict = verdicts[expression]
        listed.append(
            {
                "purl": one.get("purl"),
                "name": one["name"],
                "version": one.get("version"),
                "license": expression,
                "allowed": verdict.allowed,
                "reason": verdict.reason or None,
            }
        )
    return listed


def _names(tree: Expression) -> Iterable[str]:
    if isinstance(tree, str):
        yield tree
    else:
        for part in tree.parts:
            yield from _names(part)


def _choices(tree: Expression) -> set[frozenset[str]] | None:
    """The sets of licences of which one whole set must be followed; None when there are too many to look at."""
    if isinstance(tree, str):
        return {frozenset({tree})}
    parts = [_choices(part) for part in tree.parts]
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    if isinstance(tree, Or):
        found = {one for part in known for one in part}
        return found if len(found) <= _MOST_CHOICES else None
    count = 1
    for part in known:
        count *= len(part)
        if count > _MOST_CHOICES:
            return None
    return {frozenset().union(*chosen) for chosen in product(*known)}
