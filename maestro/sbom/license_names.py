"""Licences as people write them, made into SPDX expressions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from license_expression import Licensing  # type: ignore[import-untyped] # it ships no types

LONGEST = 1024
"""Characters of an expression that is still parsed; nothing honest is longer, and parsing takes time."""

_NOTHING = frozenset({"", "noassertion", "none", "unknown", "dual license", "see license", "n/a"})
_NOT_IN_REF = re.compile(r"[^A-Za-z0-9.-]+")
_OWN_REF = re.compile(r"(DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+\Z")
_SHORT_NAME = re.compile(r"\(([^()]+)\)\Z")
_NOISE = re.compile(r"\b(the|licen[cs]e|version|software|public|general|gnu|v)\b|[\s,()\"'_-]+", re.IGNORECASE)

# Names that package metadata of several ecosystems use where SPDX has an identifier; keys as `_plain` leaves them.
# Only names that mean exactly one licence: "BSD" or "GPL" alone say too little and stay unknown.
_KNOWN = {
    "mit": "MIT",
    "mitx11": "MIT",
    "expat": "MIT",
    "mitnoattribution": "MIT-0",
    "apache2": "Apache-2.0",
    "apache2.0": "Apache-2.0",
    "apachev2": "Apache-2.0",
    "apachev2.0": "Apache-2.0",
    "apacheasl2.0": "Apache-2.0",
    "asl2.0": "Apache-2.0",
    "bsd3clause": "BSD-3-Clause",
    "3clausebsd": "BSD-3-Clause",
    "bsd3": "BSD-3-Clause",
    "newbsd": "BSD-3-Clause",
    "modifiedbsd": "BSD-3-Clause",
    "bsd2clause": "BSD-2-Clause",
    "2clausebsd": "BSD-2-Clause",
    "simplifiedbsd": "BSD-2-Clause",
    "mozilla2.0": "MPL-2.0",
    "mpl2.0": "MPL-2.0",
    "mpl2": "MPL-2.0",
    "isc": "ISC",
    "iscl": "ISC",
    "psf": "PSF-2.0",
    "psfl": "PSF-2.0",
    "pythonfoundation": "PSF-2.0",
    "unlicense": "Unlicense",
    "zlib": "Zlib",
    "gplv2": "GPL-2.0-only",
    "gplv2+": "GPL-2.0-or-later",
    "gplv3": "GPL-3.0-only",
    "gplv3+": "GPL-3.0-or-later",
    "lgplv2.1": "LGPL-2.1-only",
    "lgplv2.1+": "LGPL-2.1-or-later",
    "lgplv3": "LGPL-3.0-only",
    "lgplv3+": "LGPL-3.0-or-later",
    "agplv3": "AGPL-3.0-only",
    "agplv3+": "AGPL-3.0-or-later",
    "zopezpl2.1": "ZPL-2.1",
    "boost1.0": "BSL-1.0",
    "cc01.0": "CC0-1.0",
}


@lru_cache(maxsize=4096)
def expression_of(text: str) -> str | None:
    """One licence as somebody wrote it, as an SPDX 2.3 expression; None when it says nothing.

    Identifiers get the spelling of the SPDX list and deprecated ones their successors. What is neither an expression
    nor a well-known name becomes ``LicenseRef-…``, which nothing allows by accident.
    """
    text = " ".join(text.split())
    if text.casefold() in _NOTHING:
        return None
    if len(text) > LONGEST:
        return license_ref(text)
    known = _KNOWN.get(_plain(text))
    return known or _parsed(text) or license_ref(text)


def joined(texts: Iterable[str]) -> str | None:
    """Several licences of one component: all of them apply, as nobody said that one may choose."""
    found = list(dict.fromkeys(one for one in map(expression_of, texts) if one))
    if len(found) <= 1:
        return found[0] if found else None
    # Several of them together may be more than anybody can mean, or parse again.
    whole = " AND ".join(f"({one})" if " " in one else one for one in sorted(found))
    return (_parsed(whole) if len(whole) <= LONGEST else None) or license_ref(whole)


def license_ref(text: str) -> str:
    """A ``LicenseRef-`` for a text that is no SPDX expression: readable, and with a digest where it had to be cut."""
    if _OWN_REF.match(text):
        return text
    readable = _NOT_IN_REF.sub("-", text)[:40].strip("-.")
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
    return f"LicenseRef-{readable}-{digest}" if len(text) > 40 or not readable else f"LicenseRef-{readable}"


@lru_cache(maxsize=1)
def licensing() -> Licensing:
    """The SPDX licence list, with the names identifiers had before."""
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def parse(text: str) -> Any | None:
    """``text`` as a tree of license-expression; None when it is no expression."""
    from license_expression import ExpressionError

    if len(text) > LONGEST:
        return None
    try:
        return licensing().parse(text, strict=True)
    # A hostile nesting of parentheses ends in the third one.
    except (ExpressionError, ValueError, RecursionError):
        return None
    except Exception:  # noqa: BLE001 - the parser fails in several ways of its own on text that is no expression
        return None


def _parsed(text: str) -> str | None:
    tree = parse(text)
    if tree is None:
        return None
    unknown = licensing().unknown_license_keys(tree)
    if any(not _OWN_REF.match(key) for key in unknown):
        return None
    return str(tree.render("{symbol.key}"))


def _plain(text: str) -> str:
    text = text.removeprefix("License :: OSI Approved :: ").casefold()
    # Classifiers of Python packages end with the short name: "ISC License (ISCL)".
    short = _SHORT_NAME.search(text)
    text = short[1] if short else text
    # The version sign belongs to the number: "v3+" and "version 3" stay apart from "3".
    return _NOISE.sub("", text)
