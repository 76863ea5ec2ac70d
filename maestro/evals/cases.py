"""Cases of an evaluation: small diffs with one planted defect each, and clean ones, with a version and a digest.

A data set is JSON Lines: a header, then a case a line. All wrong lines are named at once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from maestro.errors import InputError, Location

SCHEMA = 1
BUILTIN = {"code_review": "code_review-1.jsonl"}
"""Data sets that come with Maestro, by name: the newest version's file."""
_MOST_BYTES = 50_000_000
_MOST_MISTAKES = 20
_HUNK = re.compile(r"@@ -\d{1,9}(?:,(?P<old>\d{1,9}))? \+(?P<start>\d{1,9})(?:,(?P<new>\d{1,9}))? @@")

Severity = Literal["low", "medium", "high", "critical"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Defect(_Frozen):
    """What is wrong in a diff, and where.

    Args:
        file: as in the diff, without ``b/``.
        line: of the file as it is afterwards, from 1.
        kind: ``off_by_one``, ``sql_injection`` …
        why: one sentence, for reports; models never see it.
    """

    file: str = Field(min_length=1, max_length=300)
    line: int = Field(ge=1)
    kind: str = Field(pattern=r"^[a-z][a-z_]{1,39}$")
    severity: Severity
    why: str = Field(min_length=1, max_length=500)


class Case(_Frozen):
    """One diff.

    Args:
        diff: unified, with ``a/`` and ``b/``.
        defects: empty: nothing is wrong with it.
        note: why a clean one is clean.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,63}$")
    language: str = Field(pattern=r"^[a-z]{2,20}$")
    diff: str = Field(min_length=10, max_length=200_000)
    defects: tuple[Defect, ...] = Field(default=(), strict=False)
    note: str = Field(default="", max_length=500)

    @property
    def clean(self) -> bool:
        """Whether the right answer is that there is nothing to find."""
        return not self.defects

    @property
    def digest(self) -> str:
        """``sha256:…`` over the canonical JSON (RFC 8785): equal for the same case in another version of the set."""
        return _digest(self.model_dump(mode="json"))


class Header(_Frozen):
    """The first line of a data set."""

    dataset: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    version: str = Field(pattern=r"^[0-9]+(\.[0-9]+){0,2}$")
    schema_number: Literal[1] = Field(alias="schema")
    cases: int = Field(ge=1)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Dataset:
    """Cases, in the order of their file.

    Args:
        digest: ``sha256:…`` over all cases.
    """

    name: str
    version: str
    digest: str
    cases: tuple[Case, ...]

    @property
    def clean(self) -> int:
        """How many have nothing to find."""
        return sum(case.clean for case in self.cases)

    @property
    def languages(self) -> dict[str, int]:
        """Cases by language, the most first."""
        counts: dict[str, int] = {}
        for case in self.cases:
            counts[case.language] = counts.get(case.language, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def load_dataset(name: str, folder: Path | None = None) -> Dataset:
    """A data set of Maestro's by its name, else a file.

    Args:
        folder: what a relative path is relative to; names of files must stay within it.

    Raises:
        InputError: there is none, a line is wrong (all wrong lines are named), or the digest is another.
    """
    if name in BUILTIN:
        place = files("maestro.evals") / "datasets" / BUILTIN[name]
        return read_dataset(place.read_bytes(), BUILTIN[name])
    path = Path(name) if folder is None else folder / name
    if folder is not None and not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"the data set '{name}' lies outside of the project", next_step="name a file of the project")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"the data set {name} is larger than 50 MB", next_step="split it")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"there is no data set '{name}': {error.strerror}",
            next_step=f"name a file of JSON Lines, or one of Maestro's: {', '.join(sorted(BUILTIN))}",
        ) from None
    return read_dataset(data, name)


def read_dataset(data: bytes, file: str) -> Dataset:
    """The data set in these bytes.

    Args:
        file: what the place of a mistake is called.

    Raises:
        InputError: as :func:`load_dataset`.
    """
    lines = data.split(b"\n")
    if lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"the data set {file} is empty", next_step="begin it with a header; see docs/evals.md")
    try:
        header = Header.model_validate_json(lines[0])
    except ValidationError as error:
        raise InputError(
            f"the header is wrong: {_said(error)}", where=Location(file, 1, 1), next_step="see docs/evals.md"
        ) from None
    cases, mistakes = _cases(lines[1:])
    if not mistakes and len(cases) != header.cases:
        mistakes.append((1, f"the header says {header.cases} cases, the file has {len(cases)}: it may be cut off"))
    if mistakes:
        told = "; ".join(f"line {line}: {what}" for line, what in mistakes[:_MOST_MISTAKES])
        raise InputError(told, where=Location(file, mistakes[0][0], 1), next_step="correct the lines")
    digest = digest_of(cases)
    if digest != header.digest:
        raise InputError(
            f"the cases have the digest {digest}, the header says {header.digest}",
            where=Location(file, 1, 1),
            next_step="give a changed data set another version and this digest",
        )
    return Dataset(header.dataset, header.version, digest, tuple(cases))


def write_dataset(name: str, version: str, cases: Sequence[Case]) -> bytes:
    """A data set's file, with the header that belongs to the cases."""
    header = {"dataset": name, "version": version, "schema": SCHEMA, "cases": len(cases), "digest": digest_of(cases)}
    rows = [header, *(case.model_dump(mode="json", exclude_defaults=True) for case in cases)]
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def digest_of(cases: Iterable[Case]) -> str:
    """``sha256:…`` over the canonical JSON (RFC 8785) of all cases, in their order."""
    return _digest([case.model_dump(mode="json") for case in cases])


def _cases(lines: Sequence[bytes]) -> tuple[list[Case], list[tuple[int, str]]]:
    adapter = TypeAdapter(Case)
    cases: list[Case] = []
    mistakes: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=2):
        try:
            case = adapter.validate_json(line)
        except ValidationError as error:
            mistakes.append((number, _said(error)))
            continue
        if case.id in seen:
            mistakes.append((number, f"the case '{case.id}' is there already, on line {seen[case.id]}"))
        seen.setdefault(case.id, number)
        mistakes.extend((number, what) for what in _misplaced(case))
        cases.append(case)
    return cases, mistakes


def _misplaced(case: Case) -> list[str]:
    """Labels that point at no line of the diff: nobody could find them."""
    shown = lines_of(case.diff)
    return [
        f"the defect at {defect.file}:{defect.line} is at no line of the diff"
        for defect in case.defects
        if defect.line not in shown.get(defect.file, frozenset())
    ]


def lines_of(diff: str) -> dict[str, frozenset[int]]:
    """File -> numbers of the lines a unified diff shows of it as it is afterwards.

    Own code: a label is checked with nothing else installed, and only the numbers of a hunk's head are needed. What
    is no unified diff shows no lines.
    """
    found: dict[str, set[int]] = {}
    current: set[int] | None = None
    line = left_old = left_new = 0
    for text in diff.splitlines():
        if left_old > 0 or left_new > 0:
            if text.startswith("\\"):
                continue
            left_old -= not text.startswith("+")
            if not text.startswith("-"):
                left_new -= 1
                if current is not None:
                    current.add(line)
                line += 1
        elif text.startswith("+++ "):
            name = text[4:].split("\t")[0].removeprefix("b/")
            current = found.setdefault(name, set()) if name != "/dev/null" else None
        elif head := _HUNK.match(text):
            left_old, left_new = int(head["old"] or 1), int(head["new"] or 1)
            line = int(head["start"])
    return {name: frozenset(numbers) for name, numbers in found.items()}


def _digest(value: object) -> str:
    return f"sha256:{hashlib.sha256(rfc8785.dumps(value)).hexdigest()}"  # type: ignore[arg-type]  # JSON


def _said(error: ValidationError) -> str:
    parts = []
    for one in error.errors(include_url=False, include_input=False)[:3]:
        place = ".".join(str(step) for step in one["loc"])
        parts.append(f"{place}: {one['msg']}" if place else str(one["msg"]))
    return "; ".join(parts)
