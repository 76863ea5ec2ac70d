"""A code review without a model: what changed, the most telling new lines, ruff's findings. It judges nothing."""

from __future__ import annotations

from collections.abc import Iterator

from maestro.llm.offline.diffs import Diff, FileChange
from maestro.llm.offline.ranking import telling
from maestro.llm.offline.ruff import Report, report_on
from maestro.llm.offline.text import Deadline, code, counted, fenced, plain

MOST_FILES = 50
MOST_LINES = 8
MOST_FINDINGS = 100
_MOST_FUNCTIONS = 5


def review(diff: Diff, deadline: Deadline) -> Iterator[str]:
    """The review, line by line, in Markdown."""
    files = diff.files
    added, removed = sum(one.added for one in files), sum(one.removed for one in files)
    yield (
        f"{counted(len(files), 'file')} changed, {counted(added, 'line')} added, {counted(removed, 'line')} removed. "
        "Put together from the change itself; no model has read it."
    )
    for note in diff.left_out:
        yield f"Not complete: {note}."
    yield ""
    yield from (f"- {_file_line(one)}" for one in files[:MOST_FILES])
    if len(files) > MOST_FILES:
        yield f"- … and {counted(len(files) - MOST_FILES, 'more file')}"
    yield from _telling(files, deadline)
    yield ""
    yield "## Findings"
    yield ""
    yield from _findings(report_on(files, deadline), files)


def _file_line(one: FileChange) -> str:
    words = {"renamed": f"renamed from {code(one.old_path)}", "copied": f"copied from {code(one.old_path)}"}
    parts = [words.get(one.kind, one.kind)]
    if one.binary:
        parts.append("binary")
    elif one.unread:
        parts.append(plain(one.unread))
    elif one.added or one.removed:
        parts.append(f"+{one.added} -{one.removed}")
    if one.mode:
        parts.append(f"mode {plain(one.mode)}")
    within = list(dict.fromkeys(piece.within for piece in one.pieces if piece.within))
    if within:
        more = f" and {len(within) - _MOST_FUNCTIONS} more" if len(within) > _MOST_FUNCTIONS else ""
        parts.append(f"in {', '.join(map(code, within[:_MOST_FUNCTIONS]))}{more}")
    return f"{code(one.path)}: {', '.join(parts)}"


def _telling(files: tuple[FileChange, ...], deadline: Deadline) -> Iterator[str]:
    lines = [
        (one.path, number, text)
        for one in files
        for piece in one.pieces
        for number, text in enumerate(piece.lines, piece.start)
        if number in piece.added and text.strip()
    ]
    chosen = telling([text for _path, _number, text in lines], MOST_LINES, deadline)
    if not chosen:
        return
    yield ""
    yield "## Most telling new lines"
    last = None
    block: list[str] = []
    for path, number, text in (lines[position] for position in chosen):
        if path != last:
            if block:
                yield from fenced(block)
            yield ""
            yield f"{code(path)}"
            yield ""
            last, block = path, []
        block.append(f"{number:>5} | {text}")
    yield from fenced(block)


def _findings(report: Report | None, files: tuple[FileChange, ...]) -> Iterator[str]:
    if report is None:
        yield "The change adds no Python; other languages are not checked without a model."
        return
    if report.findings:
        yield f"By ruff, on the added lines of {counted(report.files, 'Python file')}:"
        yield ""
        for one in report.findings[:MOST_FINDINGS]:
            yield f"- {code(f'{one.path}:{one.line}')} {one.code}: {plain(one.message)}"
        if len(report.findings) > MOST_FINDINGS:
            yield f"- … and {len(report.findings) - MOST_FINDINGS:,} more"
    elif not report.problem and not report.unread:
        yield f"ruff has no findings on the added lines of {counted(report.files, 'Python file')}."
    if report.unread:
        if report.findings:
            yield ""
        yield f"{counted(report.unread, 'changed piece')} of Python could not be read on its own and was not checked."
    if report.problem:
        yield f"Not complete: {report.problem}."
    if any(one.added and not one.path.endswith((".py", ".pyi")) for one in files):
        yield ""
        yield "Files in other languages were not checked."
