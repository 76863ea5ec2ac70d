"""Reads prompts: a file to a checked ``Prompt``, with every mistake at its place."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any

from maestro.errors import InputError, Location
from maestro.notation.document import Document, Path
from maestro.notation.problems import FileErrors, Problem, listed, nearest
from maestro.notation.shape import place_of, problems, validate
from maestro.notation.yaml_reader import MAX_BYTES, FileKind, parse
from maestro.prompts.model import Prompt, Template
from maestro.prompts.shape import TERMS, Expectation, PromptFile
from maestro.prompts.templates import TemplateFault, faults
from maestro.prompts.variables import schema_faults

BUILTIN = FilePath(__file__).parent / "builtin"
FOLDER = "prompts"
"""Where a project's prompts are, from its top."""
SUFFIX = ".yaml"
_FORMAT = 1


class PromptErrors(FileErrors):
    """A prompt's file cannot be used; carries every problem found, in the order of the file."""


class NoPromptError(InputError):
    """There is no prompt of this name."""


_KIND = FileKind("prompt", "name: …, version: …, messages: …", PromptErrors)


def prompt_files(folders: Sequence[FilePath] = (), *, builtin: bool = True) -> dict[str, FilePath]:
    """Name -> file of every prompt in ``folders``, the first folder that has one wins; Maestro's own come last."""
    found: dict[str, FilePath] = {}
    for folder in (*folders, *([BUILTIN] if builtin else [])):
        for file in sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else ():
            found.setdefault(file.stem, file)
    return dict(sorted(found.items()))


def load_prompt(name: str, folders: Sequence[FilePath] = (), *, builtin: bool = True) -> Prompt:
    """The prompt called ``name``.

    Raises:
        NoPromptError: there is none, with the nearest name.
        InputError: its file cannot be read.
        PromptErrors: its file is wrong; carries every problem.
    """
    files = prompt_files(folders, builtin=builtin)
    if name not in files:
        close = nearest(name, files)
        hint = f"; did you mean '{close}'?" if close else f"; prompts: {listed(files)}"
        shown = name if name.isprintable() else repr(name)
        raise NoPromptError(
            f"there is no prompt '{shown}'{hint}",
            next_step=f"see `maestro prompts list`, or write {FOLDER}/NAME{SUFFIX}",
        )
    return load_file(files[name])


def load_file(path: FilePath, *, file: str | None = None, any_name: bool = False) -> Prompt:
    """The prompt in the file at ``path``; ``file`` is the name its problems are reported under.

    Args:
        any_name: it need not be called as its file is, as of a copy that is only looked at.

    Raises:
        InputError, PromptErrors: as for ``load_prompt``.
    """
    shown = file or str(path)
    try:
        if not path.is_file():
            raise InputError("there is no such file", where=Location(shown), next_step="name the file of a prompt")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"the prompt cannot be read: {error.strerror or error}",
            where=Location(shown),
            next_step="check the file and its permissions",
        ) from error
    return load_text(content, file=shown, folder=path.parent, stem=None if any_name else path.stem)


def load_text(content: bytes, *, file: str, folder: FilePath, stem: str | None) -> Prompt:
    """The prompt in ``content``, of a file called ``stem`` (None: whatever it is called) in ``folder``.

    Raises:
        PromptErrors: it is wrong; carries every problem.
    """
    document = parse(content, file=file, kind=_KIND)
    data = document.root.data()

    def as_text(path: Path, _value: Any) -> str | None:
        node, depth = document.find(path)
        return node.raw if depth == len(path) and node.plain else None

    shape, found = validate(PromptFile, data, as_text=as_text, terms=TERMS)
    wrong = problems(document, (), found)
    if shape is None:
        raise PromptErrors(wrong)
    wrong += _checked(document, shape, stem)
    if wrong:
        raise PromptErrors(wrong)
    limits = shape.limits
    return Prompt(
        name=shape.name,
        version=shape.version,
        digest=_digest(shape),
        description=shape.description,
        variables=shape.variables,
        messages=tuple(Template(one.role, one.content) for one in shape.messages),
        requires=frozenset(shape.requires),
        policy=shape.policy,
        max_input_tokens=limits.max_input_tokens,
        max_output_tokens=limits.max_output_tokens,
        temperature=limits.temperature,
        tests=tuple(shape.tests),
        document=document,
        folder=folder,
    )


def _digest(shape: PromptFile) -> str:
    """Over all that decides what is asked; the description and the tests do not."""
    import rfc8785

    content = shape.model_dump(mode="json", exclude={"description", "tests"})
    content["requires"] = sorted(set(content["requires"]))
    return "sha256:" + hashlib.sha256(rfc8785.dumps({"format": _FORMAT, **content})).hexdigest()


def _checked(document: Document, shape: PromptFile, stem: str | None) -> Iterator[Problem]:
    """What is wrong beyond the shape."""
    if stem is not None and shape.name != stem:
        place = place_of(document, ("name",))
        yield document.problem(place, f"the prompt is called '{shape.name}' and its file '{stem}'", allowed=f"'{stem}'")
    for path, message in schema_faults(shape.variables):
        key = not path or isinstance(path[-1], str)
        yield document.problem(place_of(document, ("variables", *path), key=key), message)
    properties = shape.variables.get("properties", {})
    names = tuple(map(str, properties)) if isinstance(properties, dict) else ()
    for index, message_file in enumerate(shape.messages):
        for fault in faults(message_file.content, names):
            yield template_problem(document, index, fault)
    try:
        import rfc8785

        rfc8785.dumps(shape.model_dump(mode="json", exclude={"tests"}))
    except (ValueError, RecursionError) as error:
        yield document.problem(document.location(()), f"the prompt has no canonical form: {error}")
    yield from _tests(document, shape)


def _tests(document: Document, shape: PromptFile) -> Iterator[Problem]:
    from maestro.prompts.expectations import expectation_faults

    slugs: dict[str, str] = {}
    for index, test in enumerate(shape.tests):
        path: Path = ("tests", index)
        name = slug(test.name)
        if not name or name in slugs:
            taken = f"is too like '{slugs[name]}'" if name else "has no letter or digit"
            yield document.problem(place_of(document, (*path, "name")), f"the name of the test {taken}")
        slugs[name] = test.name
        for variable in test.files:
            if variable in test.variables:
                place = place_of(document, (*path, "files", variable), key=True)
                yield document.problem(place, f"'{variable}' is given twice: under 'variables' and under 'files'")
        checks: list[tuple[Path, Expectation | None]] = [((*path, "expect"), test.expect)]
        for number, answer in enumerate(test.answers):
            inner: Path = (*path, "answers", number)
            if (answer.text is None) == (answer.file is None):
                yield document.problem(document.location(inner), "an answer has either 'text' or 'file'")
            checks.append(((*inner, "expect"), answer.expect))
        for where, expect in checks:
            for inside, message in expectation_faults(expect) if expect else ():
                yield document.problem(place_of(document, (*where, *inside)), message)


def template_problem(document: Document, index: int, fault: TemplateFault) -> Problem:
    """``fault``, met in message number ``index``, at its place in the file."""
    place = template_place(document, index, fault)
    return document.problem(place, fault.what, allowed=fault.allowed, suggestion=fault.suggestion)


def template_place(document: Document, index: int, fault: TemplateFault) -> Location:
    """Where in the file ``fault`` of message number ``index`` is: exact in a literal block, else its beginning."""
    node, _ = document.find(("messages", index, "content"))
    if not fault.line or not document.text.startswith("|", node.start):
        return Location(document.file, node.line, node.column)
    line = node.line + fault.line
    source = document.text.split("\n")[line - 1] if line <= document.text.count("\n") + 1 else ""
    column = source.find(fault.word) if fault.word else -1
    return Location(document.file, line, (column if column >= 0 else len(source) - len(source.lstrip())) + 1)


@functools.lru_cache(maxsize=1024)
def slug(name: str) -> str:
    """A test's name as the name of a file."""
    import re

    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80]
