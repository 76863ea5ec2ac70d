"""The offline answer to messages: what is in them decides what is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from maestro.llm.model import Message
from maestro.llm.offline.commits import found_commits, looks_like_commits, release_notes
from maestro.llm.offline.diffs import found_diff
from maestro.llm.offline.failures import failing_lines, triage
from maestro.llm.offline.ranking import telling
from maestro.llm.offline.review import review
from maestro.llm.offline.text import LABEL, Deadline, counted, plain

MOST_SENTENCES = 5
_LOG = re.compile(r"^<log>\n(.*)^</log>$", re.DOTALL | re.MULTILINE)
_FAILED = re.compile(r"\b(?:fail(?:s|ed|ure)?|error|crash(?:es|ed)?|triage|exit code)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")


def answer_lines(messages: Sequence[Message], deadline: Deadline) -> Iterator[str]:
    """The answer, line by line without line ends; the first begins with the label."""
    lines = _chosen(messages, deadline)
    yield f"{LABEL} {next(lines, 'There is nothing to answer.')}"
    yield from lines


def _chosen(messages: Sequence[Message], deadline: Deadline) -> Iterator[str]:
    texts = [one.content for one in messages if one.role == "user" and one.content]
    text = "\n".join(texts or [one.content for one in messages if one.content])
    diff = found_diff(text, deadline)
    if diff is not None:
        return review(diff, deadline)
    tagged = _LOG.search(text)
    log = tagged[1] if tagged else text
    commits = found_commits(log)
    if looks_like_commits(commits, log):
        return release_notes(commits)
    asked = "\n".join([one.content for one in messages if one.role == "system"] + [text.replace(log, "")])
    if tagged or _FAILED.search(asked[:10_000]):
        lines = failing_lines(log)
        if tagged or lines:
            return triage(log, lines)
    strong = [one for one in failing_lines(log) if one.strong]
    return triage(log, strong) if strong else _summary(text, deadline)


def _summary(text: str, deadline: Deadline) -> Iterator[str]:
    sentences = [
        sentence.strip()
        for line in text.split("\n")
        for sentence in _SENTENCE.split(line[:10_000])
        if any(character.isalnum() for character in sentence)
    ]
    if not sentences:
        yield "There is nothing to answer."
        return
    chosen = telling(sentences, MOST_SENTENCES, deadline) or list(range(min(len(sentences), MOST_SENTENCES)))
    yield f"The most telling of {counted(len(sentences), 'sentence')}, as they stand; no model has read them."
    yield ""
    yield from (f"- {plain(sentences[position], 500)}" for position in chosen)
