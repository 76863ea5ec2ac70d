"""Patterns over names of branches, tags and files, as GitHub's workflows have them.

``*`` any characters but ``/``; ``**`` any characters, and ``**/`` at the start or after a ``/`` also none; ``?`` the
character before it once or not at all; ``+`` the character before it once or more; ``[a-z]`` one of these; ``\\`` takes
the next character as it is; ``!`` at the start takes back what patterns before it have matched.

Hand-written: no library has these, and a translation to a regular expression would let a pattern and a name of a few
dozen characters keep a server busy for ever. This looks at each character of a name once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_PATTERN = 255
_MAX_MOVES = 20_000

States = frozenset[int]


class Pattern:
    """One pattern, without its ``!``: an automaton whose moves are worked out when they are first needed.

    Raises:
        ValueError: the text is no pattern; says why.
    """

    def __init__(self, text: str) -> None:
        units = _units(text)
        self._tests = [test for test, _, _ in units]
        self._stays = [stays for _, stays, _ in units]
        self._skips = [skip for _, _, skip in units]
        self._end = len(units)
        self._start = self._closed({0})
        self._moves: dict[tuple[States, str], States] = {}

    def matches(self, name: str) -> bool:
        """True when all of ``name`` matches."""
        moves = self._moves
        states = self._start
        for character in name:
            following = moves.get((states, character))
            states = self._move(states, character) if following is None else following
            if not states:
                return False
        return self._end in states

    def _move(self, states: States, character: str) -> States:
        reached = set()
        for state in states:
            if state < self._end and self._tests[state](character):
                reached.add(state if self._stays[state] else state + 1)
        if len(self._moves) >= _MAX_MOVES:
            self._moves.clear()
        found = self._moves[(states, character)] = self._closed(reached)
        return found

    def _closed(self, states: set[int]) -> States:
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            for skip in self._skips[state] if state < self._end else ():
                if state + skip not in states:
                    states.add(state + skip)
                    waiting.append(state + skip)
        return frozenset(states)


Unit = tuple[Callable[[str], bool], bool, tuple[int, ...]]
"""Which characters it takes, whether it may take more, and over how many units one may go without taking any."""


def _units(text: str) -> list[Unit]:
    units: list[Unit] = []
    repeatable = False
    position = 0
    while position < len(text):
        character = text[position]
        after = position + 1
        if character == "*":
            repeatable = False
            if text.startswith("**", position):
                after += 1
                if text.startswith("/", after) and (position == 0 or text[position - 1] == "/"):
                    # Where it begins, and only there, one may go past `**/` altogether.
                    units.append((lambda _: False, False, (1, 3)))
                units.append((lambda _: True, True, (1,)))
            else:
                units.append((lambda found: found != "/", True, (1,)))
        elif character in "?+":
            if not repeatable:
                raise ValueError(f"'{character}' repeats the character before it, and there is none")
            test = units[-1][0]
            if character == "?":
                units[-1] = (test, False, (1,))
            else:
                units.append((test, True, (1,)))
            repeatable = False
        elif character == "[":
            after = text.find("]", position) + 1
            if not after:
                raise ValueError("'[' has no ']' after it")
            units.append((_members(text[position + 1 : after - 1]).__contains__, False, ()))
            repeatable = True
        elif character in "{}":
            raise ValueError(f"'{character}' has no meaning here; write one pattern for each alternative")
        else:
            if character == "\\":
                if after == len(text):
                    raise ValueError("'\\' has no character after it")
                character = text[after]
                after += 1
            units.append((character.__eq__, False, ()))
            repeatable = True
        position = after
    return units


def _members(inside: str) -> frozenset[str]:
    """The characters of a set: ``a-z`` and single ones."""
    if not inside:
        raise ValueError("'[]' names no character")
    if inside[0] in "!^":
        raise ValueError(f"a set cannot be turned round with '{inside[0]}'; list the characters it is to match")
    found: set[str] = set()
    position = 0
    while position < len(inside):
        first = inside[position]
        if inside[position + 1 : position + 2] == "-" and position + 2 < len(inside):
            last = inside[position + 2]
            alike = any(low <= first <= last <= high for low, high in (("a", "z"), ("A", "Z"), ("0", "9")))
            if not alike or len(first) != 1:
                raise ValueError(f"'{first}-{last}' is no range; a range goes from a to z, A to Z or 0 to 9")
            found.update(map(chr, range(ord(first), ord(last) + 1)))
            position += 3
        else:
            if first in "/\\[":
                raise ValueError(f"'{first}' cannot stand in a set")
            found.add(first)
            position += 1
    return frozenset(found)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> Pattern:
    return Pattern(text)


def selected(patterns: Iterable[str], name: str) -> bool:
    """True when the last of ``patterns`` that matches ``name`` has no ``!``; False when none matches."""
    found = False
    for text in patterns:
        negative = text.startswith("!")
        if found == negative and _pattern(text[1:] if negative else text).matches(name):
            found = not negative
    return found


def _checked(text: str, advice: str | None) -> str:
    bare = text.removeprefix("!")
    problem = advice
    if not bare:
        problem = "'!' has no pattern after it"
    elif len(text) > MAX_PATTERN:
        problem = f"it has more than {MAX_PATTERN} characters"
    if problem is None:
        try:
            _pattern(bare)
        except ValueError as error:
            problem = str(error)
    if problem is not None:
        raise ValueError(f"the pattern '{text if len(text) <= 60 else text[:59] + '…'}' is wrong: {problem}")
    return text


def check_name(text: str) -> str:
    """``text``, when it is a pattern over names of branches or tags.

    Raises:
        ValueError: it is none, or can match nothing.
    """
    bare = text.removeprefix("!")
    advice = None
    for prefix in ("refs/heads/", "refs/tags/"):
        if bare.startswith(prefix):
            advice = f"write the bare name, without '{prefix}'"
    return _checked(text, advice)


def check_path(text: str) -> str:
    """``text``, when it is a pattern over paths of files.

    Raises:
        ValueError: it is none, or can match nothing.
    """
    bare = text.removeprefix("!")
    advice = None
    if bare.startswith(("/", "./")):
        advice = "paths start at the repository's root, without '/' or './'"
    elif bare.endswith("/"):
        advice = f"it would match no file; write '{text}**' for everything under it"
    return _checked(text, advice)


def _with_a_positive(patterns: list[str]) -> list[str]:
    if all(pattern.startswith("!") for pattern in patterns):
        raise ValueError("every pattern starts with '!', so nothing is matched; put one without it first")
    return patterns


NamePatterns = Annotated[
    list[Annotated[str, AfterValidator(check_name)]], Field(min_length=1), AfterValidator(_with_a_positive)
]
"""Patterns over names of branches or tags."""
PathPatterns = Annotated[
    list[Annotated[str, AfterValidator(check_path)]], Field(min_length=1), AfterValidator(_with_a_positive)
]
"""Patterns over paths of files."""
