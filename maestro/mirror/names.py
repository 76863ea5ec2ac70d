"""Commits and references as git writes them, checked before they become arguments."""

from __future__ import annotations

import re

from maestro.errors import InputError

KEPT = "refs/maestro/"
"""Where a mirror keeps the commits it was asked for, so that they are not collected."""
TRACKED = "refs/remotes/origin/"
"""Where a mirror has the origin's branches, as every clone does."""
DEFAULT = "refs/heads/maestro-default"
"""The origin's default branch once more, for HEAD to name: git takes a HEAD outside of ``refs/heads`` for damage."""
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
# gitrevisions(7) and git-check-ref-format(1).
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|^\.|\.lock(/|$)|\.$|/$|^/|^@$")


def checked_commit(sha: str) -> str:
    """``sha`` itself, if it is a whole object id (SHA-1 or SHA-256, lower case).

    Raises:
        InputError: it is not.
    """
    if not _COMMIT.fullmatch(sha):
        raise InputError(f"{sha[:80]!r} is not a whole commit id", next_step="give 40 (or 64) hexadecimal digits")
    return sha


def full_reference(name: str) -> str:
    """``name`` as a whole reference; a short one is a branch.

    Raises:
        InputError: git allows no such name.
    """
    full = name if name.startswith("refs/") else f"refs/heads/{name}"
    if _FORBIDDEN.search(full) or not full.partition("/")[2].partition("/")[2]:
        raise InputError(f"{name[:200]!r} is not a branch or reference", next_step="correct the name")
    return full


def tracking(reference: str) -> str | None:
    """Where a mirror has the origin's ``reference``; None for those it does not keep (``refs/pull/...``)."""
    if reference.startswith("refs/heads/"):
        return TRACKED + reference.removeprefix("refs/heads/")
    return reference if reference.startswith("refs/tags/") else None


def is_null(sha: str) -> bool:
    """Whether ``sha`` is git's way to say "none", as in the push that makes a branch."""
    return bool(sha) and not sha.strip("0")
