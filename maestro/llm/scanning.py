"""Long texts in pieces, so that looking for secrets in them keeps nobody else waiting.

Python's ``re`` holds the interpreter's lock for a whole search, in whatever thread: of eight megabytes half a second,
in which a gateway takes no webhook.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

PIECE = 8192
"""Characters; takes about a millisecond to search."""
# No pattern of `redact` matches one of these, but for what is excluded below.
_CUT = re.compile(r"[\s\"'<>]")
# What stands before a token in a header; within 34 characters of it there may be spaces and quotes.
_BEFORE_A_TOKEN = re.compile(r"(?i)uthor|earer")
_REACH = 64
_BEGIN = "-----BEGIN "
_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")


def pieces(text: str, size: int = PIECE) -> Iterator[str]:
    """``text`` cut where no secret reaches over; together they are ``text``.

    A stretch without any space or quote, and a private key, stay whole.

    Args:
        size: characters a piece has at least.
    """
    position, at = 0, size
    keys = _keys(text)
    key = next(keys, None)
    while at < len(text):
        found = _CUT.search(text, at)
        if found is None:
            break
        cut = found.start()
        while key is not None and key[1] <= cut:
            key = next(keys, None)
        if key is not None and key[0] < cut:
            at = key[1]
        elif _BEFORE_A_TOKEN.search(text, max(position, cut - _REACH), cut):
            at = cut + 1
        else:
            yield text[position:cut]
            position, at = cut, cut + size
    yield text[position:]


def _keys(text: str) -> Iterator[tuple[int, int]]:
    """Where private keys begin and end, in order; one without an end goes on to the text's."""
    at = text.find(_BEGIN)
    while at >= 0:
        begin = _KEY.match(text, at)
        if begin is None:
            at = text.find(_BEGIN, at + 1)
            continue
        end = _KEY_END.search(text, begin.end())
        stop = len(text) if end is None else end.end()
        yield at, stop
        at = text.find(_BEGIN, stop)
