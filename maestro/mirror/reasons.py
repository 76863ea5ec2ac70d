"""What git's words mean when a fetch failed. It has no codes for that; its untranslated words are stable."""

from __future__ import annotations

import re
from enum import Enum, auto

from maestro.mirror.calls import Answer


class Trouble(Enum):
    """Why a fetch failed."""

    GONE = auto()
    UNADVERTISED = auto()
    REFERENCE = auto()
    LOCKED = auto()
    REFUSED = auto()
    UNREACHABLE = auto()
    FULL = auto()
    UNKNOWN = auto()


# First match wins: git often says several things, the cause among them.
_WORDS = (
    (Trouble.LOCKED, r"Unable to create '[^']*\.lock': File exists"),
    # Before the words an origin may have for itself: these are about the mirror, or may be.
    (
        Trouble.UNKNOWN,
        r"did not send all necessary objects|not a git repository|bad object|object file .* is empty|corrupt|"
        r"bad config|packfile|inflate|bad signature|unresolved delta",
    ),
    (Trouble.FULL, r"No space left on device|Disk quota exceeded|Read-only file system|Too many open files"),
    (Trouble.UNADVERTISED, r"does not allow request for unadvertised object|no such remote ref [0-9a-f]{40}"),
    (Trouble.GONE, r"not our ref"),
    (
        Trouble.REFERENCE,
        r"couldn't find remote ref|cannot lock ref|unable to update local ref|some local refs could not be updated",
    ),
    (
        Trouble.REFUSED,
        r"Authentication failed|could not read (Username|Password)|terminal prompts disabled|Permission denied|"
        r"returned error: (30[1-8]|40[0-7]|410|451)|HTTP (30[1-8]|40[0-7])|Host key verification failed|"
        r"Repository not found|does not appear to be a git repository|repository '[^']*' (not found|does not exist)|"
        r"detected dubious ownership|transport '[^']*' not allowed|SSL certificate problem|"
        r"unable to update url base from redirection|not valid: is this a git repository|access rights",
    ),
    (
        Trouble.UNREACHABLE,
        r"Could not resolve|Failed to connect|[Cc]onnection (refused|timed out|reset|closed)|timed out|"
        r"returned error: (408|429|5\d\d)|HTTP (408|429|5\d\d)|early EOF|hung up unexpectedly|RPC failed|"
        r"Empty reply|gnutls_handshake|SSL_|SSL connect|transfer closed|Network is unreachable|No route to host|"
        r"Could not read from remote|too slow|Recv failure|expected flush|unable to access|bad line length|"
        r"unable to fork|protocol error|unexpected disconnect",
    ),
)
_PATTERNS = tuple((trouble, re.compile(words)) for trouble, words in _WORDS)


def trouble_of(answer: Answer) -> Trouble:
    """Why git failed, by what it said."""
    if answer.code is None:
        return Trouble.UNREACHABLE
    for trouble, pattern in _PATTERNS:
        if pattern.search(answer.reason):
            return trouble
    return Trouble.UNKNOWN


def lock_named_in(reason: str) -> str | None:
    """The lock file a ``LOCKED`` answer names."""
    found = re.search(r"Unable to create '([^']*\.lock)': File exists", reason)
    return found[1] if found else None
