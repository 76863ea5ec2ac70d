"""Takes secrets and marked personal data out of what leaves, and puts the personal data back into the answer.

A secret becomes ``***`` and stays so. A personal text becomes ``«PERSON-1»``, the same text always the same one within
a request, so that a model can still tell people apart.
"""

from __future__ import annotations

import json
import os.path
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from maestro.llm.keyring import Keyring
from maestro.llm.model import Chunk, Message
from maestro.llm.scanning import PIECE, pieces
from maestro.secrets import MASK, Masker

_NESTED = 20
"""Groups of ``re`` within one another, of which it takes about a hundred."""
WHOLE_WORDS_BELOW = 4
"""Characters; a shorter personal text counts only where it is a whole word, or it would shred the input."""

# What tokens look like that are not known by their value. detect-secrets knows more, but its extra need not be
# installed, it reads files, and takes 40 ms for a page.
_TOKENS = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255}|gl(?:pat|ptt|dt|rt|cbt|soat)-[A-Za-z0-9_-]{20,255}"
    r"|sk-[A-Za-z0-9_-]{20,255}|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,255}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,255}|xapp-[0-9]-[A-Za-z0-9-]{10,255}"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,1024}|GOCSPX-[A-Za-z0-9_-]{20,64}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,1024}|hf_[A-Za-z0-9]{30,64}|dckr_pat_[A-Za-z0-9_-]{20,64}"
    r"|SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}|dop_v1_[a-f0-9]{64}|AGE-SECRET-KEY-1[A-Z0-9]{58}"
    r")"
)
# A JSON Web Token. Looked for once in each run of its letters, since a try at every `eyJ` of a long run would take
# minutes: whatever stands in the run before the first one is kept.
_WEB_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?>(?P<before>[A-Za-z0-9_-]*?)(?<![A-Za-z0-9])eyJ)[A-Za-z0-9_-]{10,}+"
    r"\.eyJ[A-Za-z0-9_-]{10,8192}\.[A-Za-z0-9_-]{0,4096}"
)
_IN_CONTEXT = re.compile(
    r"(?i)(?P<before>\b(?:authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:bearer|basic|token)|bearer)\s{1,4})"
    r"[A-Za-z0-9+/=_.~-]{12,8192}"
    r"|(?P<scheme>\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'<>]{0,128}:)[^\s/@\"'<>]{1,512}(?=@)"
)
_PLACEHOLDER = re.compile("«PERSON-([0-9]{1,6})»")


@dataclass(frozen=True, slots=True)
class Redaction:
    """What was replaced in one request.

    Args:
        originals: placeholder -> text; never shown.
        secrets: how many were taken out.
    """

    messages: tuple[Message, ...]
    options: Mapping[str, Any]
    originals: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: int = 0

    def restore(self, text: str) -> str:
        """``text`` with the personal data back in it."""
        if not self.originals or "«" not in text:
            return text
        return _PLACEHOLDER.sub(lambda match: self.originals.get(match[0], match[0]), text)

    def restore_value(self, value: Any, *, within: str = "") -> Any:
        """A JSON-like value with the personal data back in its texts; arguments of a tool are JSON and stay so."""
        if not self.originals:
            return value
        if isinstance(value, str):
            return self._within_json(value) if within == "arguments" else self.restore(value)
        if isinstance(value, Mapping):
            return {key: self.restore_value(item, within=str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.restore_value(item) for item in value]
        return value

    def _within_json(self, text: str) -> str:
        return _PLACEHOLDER.sub(
            lambda match: json.dumps(self.originals[match[0]])[1:-1] if match[0] in self.originals else match[0], text
        )

    def restorer(self) -> Restorer | None:
        """For a streamed answer; None where nothing is to be put back."""
        return Restorer(self) if self.originals else None


class Redactor:
    """Redacts requests, and every text that leaves this process: errors, records.

    Args:
        masker: knows the values of secrets.
        keyring: the keys of providers are secrets too.
    """

    def __init__(self, masker: Masker | None = None, keyring: Keyring | None = None) -> None:
        self._masker = masker if masker is not None and masker.active else None
        self._keyring = keyring

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        if self._masker is not None:
            text = self._masker.text(text)
        if self._keyring is not None:
            text = self._keyring.masker.text(text)
        return _searched(text) if len(text) <= PIECE else "".join(map(_searched, pieces(text)))

    def request(
        self, messages: Sequence[Message], options: Mapping[str, Any], personal: Iterable[str] = ()
    ) -> Redaction:
        """What may leave of these messages and options."""
        hide = _Personal(personal, messages, options)
        removed = 0

        def clean(text: str) -> str:
            nonlocal removed
            masked = self.text(text)
            removed += masked is not text and masked != text
            # Secrets first: a personal text within one must not break it into pieces no pattern knows.
            return hide(masked)

        redacted = tuple(
            replace(
                message,
                content=clean(message.content),
                extra=_walk(message.extra, clean) if message.extra else message.extra,
            )
            for message in messages
        )
        return Redaction(redacted, _walk(options, clean) if options else options, hide.originals, removed)


def _searched(text: str) -> str:
    """``text`` without what looks like a secret; matches reach over no cut of ``scanning.pieces``."""
    if ".eyJ" in text:
        text = _WEB_TOKEN.sub(lambda match: match["before"] + MASK, text)
    text = _TOKENS.sub(MASK, text)
    lowered = text.lower()
    if "://" in text or "earer" in lowered or "uthor" in lowered:
        text = _IN_CONTEXT.sub(lambda match: (match["before"] or match["scheme"]) + MASK, text)
    return text


class Restorer:
    """Puts personal data back into pieces of an answer, wherever they were cut. Not thread safe."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._longest = max(map(len, redaction.originals))
        self._held: dict[tuple[str, ...], str] = {}

    def chunk(self, chunk: Chunk) -> Chunk:
        """The piece with what can be put back already; what may be the beginning of a placeholder is held back."""
        if not self._held and not _has_mark(chunk.delta) and chunk.finish is None:
            return chunk
        delta = self._put_back(chunk.delta, ())
        if chunk.finish is not None:
            delta = self._with_rest(delta)
        return replace(chunk, delta=delta)

    def rest(self) -> Chunk | None:
        """What was held back when nothing more comes."""
        delta = self._with_rest({})
        return Chunk(delta) if delta else None

    def _put_back(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, str):
            return self._piece(value, path)
        if isinstance(value, Mapping):
            return {key: self._put_back(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            # A call of a tool comes in pieces that say by `index` which one they belong to.
            return [
                self._put_back(item, (*path, str(item.get("index", place) if isinstance(item, Mapping) else place)))
                for place, item in enumerate(value)
            ]
        return value

    def _piece(self, text: str, path: tuple[str, ...]) -> str:
        if path[-1] in ("id", "type", "role", "name"):
            return text
        text = self._held.pop(path, "") + text
        begins = text.rfind("«")
        if begins >= 0 and len(text) - begins < self._longest and self._may_grow(text[begins:]):
            self._held[path] = text[begins:]
            text = text[:begins]
        return str(self._redaction.restore_value(text, within=path[-1]))

    def _may_grow(self, tail: str) -> bool:
        return any(name.startswith(tail) for name in self._redaction.originals)

    def _with_rest(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        whole = dict(delta)
        for path, text in self._held.items():
            if len(path) == 1:
                whole[path[0]] = str(whole.get(path[0]) or "") + text
            elif len(path) == 4 and path[0] == "tool_calls":
                call = {"index": int(path[1]), path[2]: {path[3]: text}}
                whole["tool_calls"] = [*whole.get("tool_calls", ()), call]
        self._held.clear()
        return whole


def _has_mark(value: Any) -> bool:
    if isinstance(value, str):
        return "«" in value
    if isinstance(value, Mapping):
        return any(_has_mark(item) for item in value.values())
    return isinstance(value, list) and any(_has_mark(item) for item in value)


class _Personal:
    """Replaces personal texts, whatever their case and their Unicode normal form."""

    def __init__(self, texts: Iterable[str], messages: Sequence[Message], options: Mapping[str, Any]) -> None:
        self.originals: dict[str, str] = {}
        self._names: dict[str, str] = {}
        forms: set[str] = set()
        for text in texts:
            stripped = text.strip()
            for form in (unicodedata.normalize("NFC", stripped), unicodedata.normalize("NFD", stripped)):
                # Within JSON that is passed on as a text.
                forms |= {form, json.dumps(form, ensure_ascii=False)[1:-1]}
                forms |= {json.dumps(one)[1:-1] for one in (form, form.lower(), form.upper())}
        forms.discard("")
        self._pattern: re.Pattern[str] | None = None
        if forms:
            # Those that differ in case alone find the same; only lower case keeps the longest before all others.
            apart = {low if len(low := form.lower()) == len(form) else form for form in forms}
            long = [form for form in apart if len(form) >= WHOLE_WORDS_BELOW]
            short = [form for form in apart if len(form) < WHOLE_WORDS_BELOW]
            # The longest first: a full name before the first name within it.
            found = [_any_of(sorted(long))] if long else []
            if short:
                found.append(rf"(?<!\w){_any_of(sorted(short))}(?!\w)")
            self._pattern = re.compile("|".join(found), re.IGNORECASE)
            self._taken = _numbers_in([message.content for message in messages], [m.extra for m in messages], options)
            self._next = 1

    def __call__(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(self._placeholder, text)

    def _placeholder(self, match: re.Match[str]) -> str:
        found = match[0]
        name = self._names.get(found)
        if name is None:
            while self._next in self._taken:
                self._next += 1
            name = self._names[found] = f"«PERSON-{self._next}»"
            self.originals[name] = found
            self._next += 1
        return name


def _any_of(forms: Sequence[str], depth: int = 0) -> str:
    """An expression for any of these, the longest that fits; sorted, none twice.

    What several begin with is written once, so that a thousand names take about as long as one: ``re`` tries the
    alternatives one after another at every letter.
    """
    if len(forms) == 1:
        return re.escape(forms[0])
    start = os.path.commonprefix([forms[0], forms[-1]])  # noqa: RUF071 - of letters, as it should be
    rest = [form[len(start) :] for form in forms]
    if depth > _NESTED:
        return re.escape(start) + "(?:" + "|".join(re.escape(one) for one in reversed(rest)) + ")"
    ends = not rest[0]
    by_letter: dict[str, list[str]] = {}
    for one in rest[ends:]:
        by_letter.setdefault(one[0], []).append(one)
    inner = "|".join(_any_of(group, depth + 1) for group in by_letter.values())
    return re.escape(start) + f"(?:{inner})" + ("?" if ends else "")


def _numbers_in(*values: Any) -> set[int]:
    """Numbers of placeholders that are in the input already, and so must not be given to anybody."""
    found: set[int] = set()

    def look(text: str) -> str:
        found.update(int(number) for number in _PLACEHOLDER.findall(text))
        return text

    _walk(values, look)
    return found


def _walk(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(key) if isinstance(key, str) else key: _walk(item, clean) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(item, clean) for item in value]
    return value
