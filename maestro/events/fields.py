"""What values in a delivery may look like: they come from outside and end in commands, tags and pages."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

MAX_TITLE = 200
_SHA = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_NAME = re.compile(r"(?![-/.])(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|\Z)))[^\x00-\x20\x7f~^:?*\[\\]{1,255}(?<![/.])\Z")
_FULL_NAME = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+\Z")


class Wire(BaseModel):
    """Part of a delivery: the few fields that are needed, everything else passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)


def _sha(text: str) -> str:
    if not _SHA.match(text):
        raise ValueError("is no commit id")
    return text


def _name(text: str) -> str:
    if not _NAME.match(text) or text == "@":
        raise ValueError("is no name that git allows for a branch or a tag")
    return text


def _ref(text: str) -> str:
    bare = next((part for part in split_ref(text) if part is not None), text)
    # A branch may be called -x, and would then be taken for an option.
    if not text.startswith("refs/") or not _NAME.match(bare):
        raise ValueError("is no name of a ref, such as refs/heads/main")
    return text


def _full_name(text: str) -> str:
    if not _FULL_NAME.match(text):
        raise ValueError("is no full name of a repository, such as owner/name")
    return text


def _line(value: object) -> object:
    """The first line of a text, shortened, without anything that cannot be printed; nothing is an empty text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    first = value.strip().partition("\n")[0][: 4 * MAX_TITLE]
    shown = "".join(character if character.isprintable() else " " for character in first)
    return " ".join(shown.split())[:MAX_TITLE]


Sha = Annotated[str, AfterValidator(_sha)]
"""Commit id, lower case, SHA-1 or SHA-256."""
Name = Annotated[str, AfterValidator(_name)]
"""Bare name of a branch or a tag, as git-check-ref-format(1) allows."""
Ref = Annotated[str, AfterValidator(_ref)]
FullName = Annotated[str, AfterValidator(_full_name)]
"""``owner/name``; with groups at GitLab more parts."""
Line = Annotated[str, BeforeValidator(_line)]


def known(sha: str) -> str | None:
    """``sha``; None when it is all zeros, which stands for no commit."""
    return sha if sha.strip("0") else None


def split_ref(ref: str) -> tuple[str | None, str | None]:
    """Branch and tag that ``ref`` names; one of them, or both, are None."""
    if ref.startswith("refs/heads/"):
        return ref.removeprefix("refs/heads/"), None
    if ref.startswith("refs/tags/"):
        return None, ref.removeprefix("refs/tags/")
    return None, None
