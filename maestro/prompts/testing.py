"""Tests of a prompt: what it renders to, compared with a snapshot, and recorded answers with what they must be.

Snapshots are ``snapshots/<prompt>/<test>.txt`` in the prompt's folder. Nothing is asked of a model.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import InputError, Location, MaestroError
from maestro.prompts.expectations import unmet
from maestro.prompts.load import slug
from maestro.prompts.model import Prompt, Rendered
from maestro.prompts.rendering import render
from maestro.prompts.shape import AnswerFile, TestFile

SNAPSHOTS = "snapshots"
_LARGEST = 8 * 1024 * 1024
_MOST_LINES = 40


@dataclass(frozen=True, slots=True)
class Result:
    """How one test of a prompt ended.

    Args:
        state: ``passed``, ``failed``, or ``updated`` when its snapshot was written.
        faults: what was not as expected, one text each, with several lines where a difference is shown.
    """

    prompt: str
    test: str
    state: str
    where: Location
    faults: tuple[str, ...] = ()


def run_tests(prompt: Prompt, *, update: bool = False, only: str = "") -> list[Result]:
    """Runs the tests of ``prompt``, in the order of the file.

    Args:
        update: write the snapshots that differ, and remove those no test has, in place of failing.
        only: a part of the tests' names.
    """
    results = [_run(prompt, index, update) for index, test in enumerate(prompt.tests) if only in test.name]
    if not only:
        results += _left_over(prompt, update)
    return results


def snapshot_text(rendered: Rendered) -> str:
    """The messages as they are kept: each below a line ``--- role``."""
    return "".join(f"--- {one['role']}\n{one['content']}\n" for one in rendered.messages)


def snapshot_file(prompt: Prompt, test: TestFile) -> Path:
    """Where the snapshot of ``test`` is."""
    return prompt.folder / SNAPSHOTS / prompt.name / f"{slug(test.name)}.txt"


def _run(prompt: Prompt, index: int, update: bool) -> Result:
    test = prompt.tests[index]
    where = prompt.document.location(("tests", index, "name"))
    faults: list[str] = []
    updated = False
    try:
        values = {**test.variables, **{name: _sample(prompt, path) for name, path in test.files.items()}}
        rendered = render(prompt, values)
        if test.refused is not None:
            faults.append(f"it was to be refused with '{test.refused}' and was rendered")
        else:
            text = snapshot_text(rendered)
            updated, wrong = _compared(_within(prompt, snapshot_file(prompt, test)), text, update)
            faults += wrong
            faults += [f"the messages: {one}" for one in (unmet(test.expect, text) if test.expect else ())]
    except MaestroError as error:
        if test.refused is None:
            faults.append(error.what)
        elif test.refused not in error.what:
            faults.append(f"it was refused, but not with '{test.refused}': {error.what}")
    for number, answer in enumerate(test.answers, 1):
        faults += _answer(prompt, number, answer)
    state = "failed" if faults else "updated" if updated else "passed"
    return Result(prompt.name, test.name, state, where, tuple(faults))


def _answer(prompt: Prompt, number: int, answer: AnswerFile) -> Iterator[str]:
    try:
        text = answer.text if answer.text is not None else _sample(prompt, answer.file or "")
    except MaestroError as error:
        yield error.what
        return
    wrong = unmet(answer.expect, text)
    if answer.refused and not wrong:
        yield f"answer {number} is a bad one, and everything expected holds of it"
    elif not answer.refused:
        yield from (f"answer {number}: {one}" for one in wrong)


def _compared(file: Path, text: str, update: bool) -> tuple[bool, list[str]]:
    """Whether the snapshot was written, and how it differs."""
    kept: str | None
    try:
        kept = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        kept = None
    except (OSError, UnicodeDecodeError) as error:
        kept = None
        if not update:
            return False, [f"the snapshot {file.name} cannot be read: {error}"]
    if kept == text:
        return False, []
    if update:
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f".{file.name}.{os.getpid()}")
        new.write_bytes(text.encode("utf-8"))
        new.replace(file)
        return True, []
    if kept is None:
        return False, [f"it has no snapshot ({file.name}); look at what it renders and write it with --update"]
    return False, [f"it renders otherwise than its snapshot {file.name}\n" + "\n".join(_difference(kept, text))]


def _difference(kept: str, text: str) -> Sequence[str]:
    lines = list(difflib.unified_diff(kept.splitlines(), text.splitlines(), "snapshot", "rendered", lineterm="", n=2))
    more = [f"… {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
    return [*lines[:_MOST_LINES], *more]


def _left_over(prompt: Prompt, update: bool) -> Iterator[Result]:
    folder = prompt.folder / SNAPSHOTS / prompt.name
    try:
        _within(prompt, folder)
    except InputError as error:
        yield Result(prompt.name, SNAPSHOTS, "failed", Location(str(folder)), (error.what,))
        return
    wanted = {snapshot_file(prompt, test).name for test in prompt.tests if test.refused is None}
    for file in sorted(folder.glob("*.txt")) if folder.is_dir() else ():
        if file.name in wanted:
            continue
        if update:
            file.unlink()
        fault = f"the snapshot {file.name} belongs to no test; --update removes it"
        where = Location(str(file))
        yield Result(prompt.name, file.name, "updated" if update else "failed", where, () if update else (fault,))


def _within(prompt: Prompt, path: Path) -> Path:
    """The path itself, when it stays within the prompt's folder: what is read is shown, what is left over removed.

    Raises:
        InputError: it, or a link on its way, leads out.
    """
    if not path.resolve().is_relative_to(prompt.folder.resolve()):
        shown = str(path).removeprefix(f"{prompt.folder}/")
        raise InputError(f"the file '{shown}' leads out of the prompt's folder")
    return path


def _sample(prompt: Prompt, name: str) -> str:
    """The text of a file beside the prompt."""
    file = _within(prompt, prompt.folder / name).resolve()
    try:
        if not file.is_file():
            raise InputError(f"there is no file '{name}' beside the prompt")
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"the file '{name}' cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise InputError(f"the file '{name}' has more than {_LARGEST // 1024**2} MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"the file '{name}' is not UTF-8") from None
