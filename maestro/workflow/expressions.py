"""The ``{{ … }}`` of a workflow: sandboxed Jinja2 expressions without statements.

A string that is one expression and nothing else gives its value as it is (a number, a list …); in any other string the
value becomes text. Jinja2 is imported when the first expression is met.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.workflow.sandbox import Sandbox

MAX_EXPRESSION = 10_000
MAX_OUTPUT = 1024 * 1024
_STATEMENT = re.compile(r"\{%.*?%\}", re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class ExpressionError(InputError):
    """An expression cannot be used.

    Args:
        what: what is wrong, one sentence.
        expression: the text between the braces.
        offset: where in the string it is wrong, in characters from its start.
        allowed: what may stand there.
        suggestion: the nearest known name.
    """

    def __init__(
        self,
        what: str,
        *,
        expression: str = "",
        offset: int = 0,
        allowed: str | None = None,
        suggestion: str | None = None,
    ) -> None:
        shown = expression.strip()
        shown = f" in '{{{{ {shown if len(shown) <= 80 else shown[:79] + '…'} }}}}'" if shown else ""
        hint = f'did you mean "{suggestion}"?' if suggestion else f"allowed: {allowed}" if allowed else None
        super().__init__(f"{what}{shown}", next_step=hint)
        self.expression = expression
        self.offset = offset
        self.allowed = allowed
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a string: literal text, or the source of an expression.

    Args:
        source: the text, or what stands between the braces.
        offset: of ``source`` in the string.
        is_expression: True for what stands between braces.
    """

    source: str
    offset: int
    is_expression: bool


@dataclass(frozen=True, slots=True)
class Use:
    """A name an expression uses: a root and the constant parts after it.

    Args:
        root: ``params``, ``steps`` …
        parts: attributes and constant keys after it; ends at the first part that is computed.
        dynamic: True when a computed part follows.
        offset: in the string.
        expression: the text between the braces.
    """

    root: str
    parts: tuple[str, ...]
    dynamic: bool
    offset: int
    expression: str


@dataclass(frozen=True, slots=True)
class References:
    """What a value's expressions refer to.

    Args:
        steps: ids after ``steps.``.
        params: names after ``params.``.
        matrix: axes after ``matrix.``.
        env: variables after ``env.``.
        files: paths in ``files['…']``; ``package.json.hash`` counts as ``package.json``.
        git: names after ``git.``.
        run: names after ``run.``.
        changed: globs given to ``changed(…)``.
        dynamic: roots followed by a computed key, so that not all names used are known.
        undefined: roots that do not exist.
    """

    steps: frozenset[str] = frozenset()
    params: frozenset[str] = frozenset()
    matrix: frozenset[str] = frozenset()
    env: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    git: frozenset[str] = frozenset()
    run: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    dynamic: frozenset[str] = frozenset()
    undefined: frozenset[str] = frozenset()

    @property
    def at_run_time(self) -> bool:
        """True when the value is only known once other steps have run."""
        return bool(self.steps)


def has_expression(value: Any) -> bool:
    """True when a string anywhere in ``value`` holds ``{{``."""
    return any("{{" in text for _, text in strings(value))


def strings(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every string in ``value``, keys of mappings not among them, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from strings(item, (*path, index))


def segments(text: str) -> list[Segment]:
    """``text`` cut into literal pieces and expressions; ``{{-`` and ``-}}`` take the white space beside them away.

    Raises:
        ExpressionError: an expression is not closed, empty or too long, or there is a statement ``{% … %}``.
    """
    found: list[Segment] = []
    position = 0
    trim = False
    while True:
        start = text.find("{{", position)
        literal = text[position : start if start >= 0 else len(text)]
        statement = _STATEMENT.search(literal)
        if statement:
            raise ExpressionError(
                f"'{statement.group()[:40]}' is a statement; a workflow has only expressions",
                offset=position + statement.start(),
                allowed="{{ … }}; write {{ '{%' }} for the characters themselves",
            )
        opens_trimmed = start >= 0 and text.startswith("{{-", start)
        kept = literal.lstrip() if trim else literal
        kept = kept.rstrip() if opens_trimmed else kept
        if kept:
            found.append(Segment(kept, position, False))
        if start < 0:
            return found
        begin = start + (3 if opens_trimmed else 2)
        end = _closing(text, begin, start)
        trim = text[end - 1] == "-" and end > begin
        source = text[begin : end - 1 if trim else end]
        if not source.strip():
            raise ExpressionError("the expression '{{ }}' is empty", offset=start)
        if len(source) > MAX_EXPRESSION:
            raise ExpressionError(
                f"an expression has {len(source):,} characters; at most {MAX_EXPRESSION:,} are allowed", offset=start
            )
        found.append(Segment(source, begin, True))
        position = end + 2


def _closing(text: str, begin: int, start: int) -> int:
    """Offset of the ``}}`` that closes the expression; braces and quotes inside are stepped over."""
    awaited: list[str] = []
    position = begin
    while position < len(text):
        character = text[position]
        if not awaited and text.startswith("}}", position):
            return position
        if character in "'\"":
            end = position + 1
            while end < len(text) and text[end] != character:
                end += 2 if text[end] == "\\" else 1
            if end >= len(text):
                break
            position = end
        elif character in _CLOSING:
            awaited.append(_CLOSING[character])
        elif awaited and character == awaited[-1]:
            awaited.pop()
        position += 1
    raise ExpressionError(
        "an expression is opened with '{{' and not closed",
        offset=start,
        allowed="}} at its end; write {{ '{{' }} for the characters themselves",
    )


class Expressions:
    """Renders strings and finds what they refer to; keeps what it has parsed."""

    def __init__(self) -> None:
        self._sandbox_made: Sandbox | None = None
        self._segments: dict[str, list[Segment]] = {}

    @property
    def _sandbox(self) -> Sandbox:
        if self._sandbox_made is None:
            from maestro.workflow.sandbox import Sandbox

            self._sandbox_made = Sandbox()
        return self._sandbox_made

    def render(self, value: Any, scope: Mapping[str, Any]) -> Any:
        """``value`` with every string in it rendered; mappings and lists are new, keys stay as they are.

        Raises:
            ExpressionError: an expression is wrong, uses a name ``scope`` does not have, or gives too much.
        """
        if isinstance(value, str):
            return self._render_text(value, scope) if "{" in value else value
        if isinstance(value, Mapping):
            return {key: self.render(item, scope) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.render(item, scope) for item in value]
        return value

    def condition(self, text: str | bool, scope: Mapping[str, Any]) -> bool:
        """Whether ``text``, a ``when`` with or without the braces, holds.

        Raises:
            ExpressionError: as for ``render``.
        """
        if isinstance(text, bool):
            return text
        return bool(self._sandbox.evaluate(self.condition_segment(text), scope))

    def condition_segment(self, text: str) -> Segment:
        """The one expression a ``when`` is.

        Raises:
            ExpressionError: it is empty, or text stands around the braces.
        """
        if "{{" not in text:
            if not text.strip():
                raise ExpressionError("the condition is empty", allowed="an expression, true or false")
            if len(text) > MAX_EXPRESSION:
                raise ExpressionError(f"a condition may have at most {MAX_EXPRESSION:,} characters")
            return Segment(text, 0, True)
        single = self._single(text)
        if single is None:
            raise ExpressionError(
                "a condition is one expression; text stands around its braces", allowed="{{ … }}, or no braces at all"
            )
        return single

    def references(self, value: Any, *, condition: bool = False) -> References:
        """What the expressions anywhere in ``value`` refer to; ``condition``: ``value`` is a ``when``.

        Raises:
            ExpressionError: a syntax error, or something the sandbox does not have.
        """
        from maestro.workflow.sandbox import collect

        uses: list[Use] = []
        for _, text in strings(value):
            uses += self.uses(text, condition=condition)
        return collect(uses)

    def uses(self, text: str, *, condition: bool = False) -> list[Use]:
        """Every name used in ``text``, with its place.

        Raises:
            ExpressionError: as for ``references``.
        """
        found, errors = self.inspect(text, condition=condition)
        if errors:
            raise errors[0]
        return found

    def inspect(self, text: str, *, condition: bool = False) -> tuple[list[Use], list[ExpressionError]]:
        """Every name used in ``text``, and what is wrong with each of its expressions."""
        found: list[Use] = []
        errors: list[ExpressionError] = []
        try:
            pieces = [self.condition_segment(text)] if condition else self._cut(text) if "{" in text else []
        except ExpressionError as error:
            return [], [error]
        for segment in pieces:
            try:
                found += self._sandbox.uses(segment) if segment.is_expression else []
            except ExpressionError as error:
                errors.append(error)
        return found, errors

    def _cut(self, text: str) -> list[Segment]:
        found = self._segments.get(text)
        if found is None:
            found = self._segments[text] = segments(text)
        return found

    def _single(self, text: str) -> Segment | None:
        pieces = [piece for piece in self._cut(text) if piece.is_expression or piece.source.strip()]
        return pieces[0] if len(pieces) == 1 and pieces[0].is_expression else None

    def _render_text(self, text: str, scope: Mapping[str, Any]) -> Any:
        single = self._single(text)
        if single is not None:
            return self._sandbox.evaluate(single, scope)
        pieces: list[str] = []
        size = 0
        for segment in self._cut(text):
            piece = segment.source
            if segment.is_expression:
                piece = as_text(self._sandbox.evaluate(segment, scope))
            size += len(piece)
            if size > MAX_OUTPUT:
                raise ExpressionError("the text is larger than 1 MiB once its expressions are put in")
            pieces.append(piece)
        return "".join(pieces)


def as_text(value: Any) -> str:
    """How a value stands in a text: ``true``, ``1.5``, nothing for null, JSON for lists and mappings."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    import json

    return json.dumps(value, ensure_ascii=False)
