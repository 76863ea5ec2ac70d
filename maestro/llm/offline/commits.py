"""Release notes without a model: the commits, grouped by their kind (Conventional Commits 1.0), what breaks first.

Read here: the format is one regular expression, and the packages that have it bring a command line of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maestro.llm.offline.text import counted, plain

_ONE_LINE = re.compile(r"(?:[*-] )?(?P<hash>[0-9a-f]{7,64}) (?P<subject>\S.*)")
_WHOLE = re.compile(r"commit (?P<hash>[0-9a-f]{7,64})(?: .*)?")
_KIND = re.compile(r"(?P<kind>[A-Za-z]+)(?:\((?P<scope>[^()]{1,60})\))?(?P<breaks>!)?: +(?P<text>\S.*)")
_BREAKS = re.compile(r"\s*BREAKING[ -]CHANGE: *(?P<text>.*)")
_FOOTER = re.compile(r"\s*[A-Za-z][A-Za-z-]*(?:: | #)\S")
_HEADINGS = {
    "feat": "Features",
    "fix": "Fixes",
    "perf": "Performance",
    "docs": "Documentation",
    "revert": "Reverts",
}
_OTHER = "Other"
MOST = 300


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit.

    Args:
        kind: ``feat``, ``fix`` …; empty when its subject does not say.
        text: the subject without its kind.
        breaking: what breaks; empty where the commit only says that something does.
    """

    hash: str
    kind: str
    scope: str
    text: str
    breaks: bool
    breaking: str


def found_commits(text: str) -> list[Commit]:
    """The commits in ``text``, in its order: of ``git log``, or one line each, with the bodies indented."""
    entries: list[tuple[str, list[str]]] = []
    whole = False
    for line in text.split("\n"):
        line = line.rstrip("\r")
        start = _WHOLE.fullmatch(line) or (None if whole else _ONE_LINE.fullmatch(line))
        if start is not None:
            whole = "subject" not in start.re.groupindex
            entries.append((start["hash"], [] if whole else [start["subject"]]))
        elif entries and (line[:1] in (" ", "\t") or not line):
            entries[-1][1].append(line.strip())
        elif entries and not (whole and re.match(r"(Author|Date|Merge|AuthorDate|Commit|CommitDate):", line)):
            whole = False
    return [_commit(hash_, lines) for hash_, lines in entries if any(lines)]


def looks_like_commits(commits: Sequence[Commit], text: str) -> bool:
    """Whether ``text`` is about ``commits``, and not a log in which a few lines look like one."""
    outer = sum(1 for line in text.split("\n") if line.strip() and line[:1] not in (" ", "\t"))
    return bool(commits) and len(commits) * 3 >= outer - 10


def release_notes(commits: Sequence[Commit]) -> Iterator[str]:
    """The notes, line by line, in Markdown."""
    yield f"{counted(len(commits), 'commit')}, grouped by what their subjects say; no model has read them."
    left = MOST
    breaking = [one for one in commits if one.breaks]
    if breaking:
        yield ""
        yield "## Breaking changes"
        yield ""
        for one in breaking[:left]:
            yield f"- {_line(one)}"
            if one.breaking:
                yield f"  {plain(one.breaking, 400)}"
    for heading in (*_HEADINGS.values(), _OTHER):
        members = [one for one in commits if not one.breaks and _HEADINGS.get(one.kind, _OTHER) == heading]
        if not members:
            continue
        yield ""
        yield f"## {heading}"
        yield ""
        yield from (f"- {_line(one)}" for one in members[:left])
        if len(members) > left:
            yield f"- … and {len(members) - left:,} more"


def _line(one: Commit) -> str:
    scope = f"**{plain(one.scope)}**: " if one.scope else ""
    return f"{scope}{plain(one.text)} ({one.hash[:12]})"


def _commit(hash_: str, lines: list[str]) -> Commit:
    while lines and not lines[0]:
        lines = lines[1:]
    subject, body = lines[0], lines[1:]
    found = _KIND.fullmatch(subject)
    note = _breaking(body)
    if found is None:
        return Commit(hash_, "", "", subject, note is not None, note or "")
    breaks = bool(found["breaks"]) or note is not None
    return Commit(hash_, found["kind"].lower(), found["scope"] or "", found["text"], breaks, note or "")


def _breaking(body: Sequence[str]) -> str | None:
    """The footer ``BREAKING CHANGE``, up to an empty line or the next footer."""
    for index, line in enumerate(body):
        found = _BREAKS.match(line)
        if found is None:
            continue
        text = [found["text"]]
        for following in body[index + 1 :]:
            if not following or _FOOTER.match(following):
                break
            text.append(following)
        return " ".join(text).strip()
    return None
