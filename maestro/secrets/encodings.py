"""The forms in which a secret's value may appear in an output: as it is, by line, and as tools encode it."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from maestro.secrets.values import MINIMUM_LENGTH

WRAPPED_AT = (64, 76)
"""Line lengths of ``openssl base64`` and of ``base64``, MIME."""


def forms(value: str) -> set[bytes]:
    """Every form of ``value`` to mask, and of each of its lines that says something."""
    found: set[bytes] = set()
    for part in {value, value.strip(), *_lines(value)}:
        found.update(_encode(text) for text in _texts(part))
        found.update(_base64_forms(_encode(part)))
    return {form for form in found if len(form) >= MINIMUM_LENGTH}


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _lines(value: str) -> Iterable[str]:
    for line in value.splitlines():
        stripped = line.strip()
        if len(stripped) >= MINIMUM_LENGTH and any(character.isalnum() for character in stripped):
            yield stripped


def _texts(value: str) -> Iterable[str]:
    yield value
    yield from _url(value)
    yield from _quoted(value)
    yield from _shell(value)
    if "\n" in value:
        yield value.replace("\r\n", "\n").replace("\n", "\r\n")


def _url(value: str) -> Iterable[str]:
    """Percent-encoding, RFC 3986 and forms (``+`` for a space), with either case of hexadecimal digits."""
    data = _encode(value)
    # The last one is what JavaScript's encodeURIComponent leaves alone.
    encoded = (quote(data, safe=""), quote(data), quote_plus(data), quote(data, safe="!'()*"))
    for text in encoded:
        yield text
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text)


def _quoted(value: str) -> Iterable[str]:
    """As in JSON strings and Python literals, without the quotes."""
    for text in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        yield text
        yield text.replace("/", "\\/")
        yield re.sub(r"\\u[0-9a-f]{4}", lambda match: "\\u" + match[0][2:].upper(), text)
    yield repr(value)[1:-1]


def _shell(value: str) -> Iterable[str]:
    """As shells quote it when they trace (``set -x``), print (``printf %q``) or are written by programs."""
    yield shlex.quote(value)
    yield shlex.quote(value).removeprefix("'").removesuffix("'")
    yield value.replace("'", "'\\''")
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", value)
    yield re.sub(r'([\\$`"])', r"\\\1", value)
    ansi = value.replace("\\", "\\\\").replace("'", "\\'")
    yield ansi.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def _base64_forms(data: bytes) -> Iterable[bytes]:
    """Base64 (RFC 4648, both alphabets) of ``data``, alone and as a part of something longer.

    Within longer text the value begins at one of three offsets in a group of three bytes. The characters at its ends
    also hold bits of its neighbours; those between are determined by the value alone and are what is masked.
    """
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            padded = encode(bytes(offset) + data)
            first = -(-offset * 8 // 6)
            last = (offset + len(data)) * 8 // 6
            yield padded[first:last]
            # At the end of the encoded text nothing follows, so its last character and padding are known too.
            yield padded[first:].rstrip(b"=")
            yield padded[first:]
        whole = encode(data)
        for width in WRAPPED_AT:
            if len(whole) > width:
                yield from (whole[start : start + width] for start in range(0, len(whole), width))
