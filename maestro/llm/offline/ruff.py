"""What ruff says of the Python a change adds: of whole new files everything, of pieces what a piece can show.

ruff runs in an empty folder, isolated from every configuration, without the environment, within the deadline.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.llm.offline.diffs import FileChange, Piece
from maestro.llm.offline.text import Deadline

MOST_PIECES = 400
MOST_BYTES = 2_000_000
MOST_SECONDS = 20.0
_WHOLE = "E7,E9,F,B,S,PLE,BLE,ASYNC,DTZ,RUF006"
# A piece does not show where its names come from.
_PIECE = "E711,E712,E713,E714,E721,E722,F50,F52,F54,F60,F63,B,S,PLE,BLE,ASYNC,DTZ,RUF006"
# Asserts are how tests are written; what a piece stands in is not known, nor is the loop it is put into here.
_IGNORED = "S101,E701,E702,E741,B018,B023,PLE0118,PLE0604,PLE0605"
_WRAPS = ("async def _():", "while _:", "while _:", "while _:", "while _:", "while _:", "while _:", "while _:")


@dataclass(frozen=True, slots=True)
class Finding:
    """One of ruff's, at an added line."""

    path: str
    line: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What ruff said.

    Args:
        files: how many Python files were looked at.
        unread: pieces that are no Python on their own, so that nothing can be said of them.
        problem: why nothing, or not all, was looked at; empty: all was.
    """

    files: int
    findings: tuple[Finding, ...] = ()
    unread: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Sample:
    """A piece as it is given to ruff; ``shift``: lines put before it."""

    change: FileChange
    piece: Piece
    text: str
    shift: int
    whole: bool


def report_on(changes: Iterable[FileChange], deadline: Deadline) -> Report | None:
    """ruff's findings on the added lines of the Python in ``changes``; None when there is no such line."""
    python = [one for one in changes if one.path.endswith((".py", ".pyi")) and one.added and one.pieces]
    if not python:
        return None
    program = _program()
    if program is None:
        return Report(len(python), problem="ruff is not there, so the Python of this change was not checked")
    samples: list[_Sample] = []
    size, problem = 0, ""
    for change in python:
        for piece in change.pieces:
            if not piece.added:
                continue
            sample = _sample(change, piece)
            size += len(sample.text)
            if len(samples) >= MOST_PIECES or size > MOST_BYTES:
                problem = "the change is too large to be checked as a whole; the rest of its Python was not checked"
                break
            samples.append(sample)
    findings: list[Finding] = []
    unread = 0
    for whole in (True, False):
        chosen = [one for one in samples if one.whole is whole]
        if not chosen:
            continue
        said = _run(program, chosen, _WHOLE if whole else _PIECE, deadline)
        if isinstance(said, str):
            return Report(len(python), tuple(_ordered(findings)), unread, said)
        bad = {index for index, code, _row, _message in said if code is None and not chosen[index].whole}
        unread += len(bad)
        findings += [
            Finding(chosen[index].change.path, number, code or "syntax", message)
            for index, code, row, message in said
            if index not in bad and (number := _number(chosen[index], row)) in chosen[index].piece.added
        ]
    return Report(len(python), tuple(_ordered(findings)), unread, problem)


def _ordered(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(set(findings), key=lambda one: (one.path, one.line, one.code, one.message))


def _number(sample: _Sample, row: int) -> int:
    return row - sample.shift - 1 + sample.piece.start


def _sample(change: FileChange, piece: Piece) -> _Sample:
    whole = change.kind == "added" and len(change.pieces) == 1 and piece.start <= 1
    if whole:
        return _Sample(change, piece, "\n".join(piece.lines) + "\n", 0, True)
    lines = [line.expandtabs(4) for line in piece.lines]
    written = [line for line in lines if line.strip()]
    indent = (len(written[0]) - len(written[0].lstrip())) // 4 if written else 0
    before = [f"{'    ' * level}{_WRAPS[level]}" for level in range(min(indent, len(_WRAPS)))]
    after = []
    if written and written[-1].rstrip().endswith(":"):
        after = [" " * (len(written[-1]) - len(written[-1].lstrip()) + 4) + "pass"]
    return _Sample(change, piece, "\n".join([*before, *lines, *after]) + "\n", len(before), False)


def _program() -> str | None:
    beside = Path(sys.executable).parent / "ruff"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("ruff")


def _run(
    program: str, samples: Sequence[_Sample], rules: str, deadline: Deadline
) -> list[tuple[int, str | None, int, str]] | str:
    """Number of the sample, code (None: not Python), line and message of each finding; or why there is none."""
    late = "ruff was not done in time, so the Python of this change was not checked"
    with tempfile.TemporaryDirectory(prefix="maestro-offline-") as folder:
        for index, sample in enumerate(samples):
            suffix = Path(sample.change.path).suffix
            text = sample.text.encode("utf-8", "replace")
            (Path(folder) / f"{index}{suffix}").write_bytes(text)
        arguments = [
            program, "check", "--isolated", "--no-cache", "--no-fix", "--exit-zero", "--quiet",
            "--target-version", "py313", "--output-format", "json", "--select", rules, "--ignore", _IGNORED, ".",
        ]  # fmt: skip
        seconds = min(MOST_SECONDS, deadline.left())
        if seconds <= 0:
            return late
        try:
            done = subprocess.run(
                arguments,
                cwd=folder,
                env={"PATH": os.defpath, "HOME": folder, "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return late
        except OSError as error:
            return f"ruff could not be started ({error.strerror}), so the Python of this change was not checked"
        try:
            said = json.loads(done.stdout)
            return [
                (int(Path(one["filename"]).stem), _code(one["code"]), int(one["location"]["row"]), str(one["message"]))
                for one in said
            ]
        except (ValueError, KeyError, TypeError):
            return f"ruff ended with {done.returncode} and no report, so the Python of this change was not checked"


def _code(code: str | None) -> str | None:
    return None if code is None or code == "invalid-syntax" else code
