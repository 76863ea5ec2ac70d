"""What the documents say is there: links, examples, commands and their options, files, and the help as it is."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from maestro.cli.main import group
from maestro.steps import Registry
from maestro.workflow.load import load_text

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENTS = sorted([README, ROOT / "CHANGELOG.md", ROOT / "editors" / "README.md", *(ROOT / "docs").glob("*.md")])
EXPECTED = {
    "README.md",
    "CHANGELOG.md",
    "docs/architecture.md",
    "docs/cli.md",
    "docs/operations.md",
    "docs/vault.md",
    "docs/workflow.md",
}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_WORDS_OF_SHELLS = {"&&", "||", "|", ";", "&", ">", ">>", "<"}
_FOLDERS = "assets|bench|deploy|docs|editors|maestro|maestro_defs|policies|resources|scripts|sensors|tests"
_FILE = re.compile(rf"(?:\./)?((?:{_FOLDERS})(?:/[\w.-]+)+)/?")
# Each with a bracket, so that a search for these hosts does not find this file.
_REGISTRIES = re.compile(
    "pypi[.]org|pythonhosted[.]org|registry[.]npmjs|npmjs[.]org|yarnpkg[.]com|crates[.]io|proxy[.]golang|rubygems[.]org"
)


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def blocks(text: str, *languages: str) -> list[str]:
    return [content for language, content in _FENCE.findall(text) if language in languages]


def prose(text: str) -> str:
    """``text`` without its code blocks."""
    return _FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The names headings are linked by, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@dataclass(frozen=True)
class Shown:
    """A command line a document shows."""

    document: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: maestro {' '.join(self.words)}"


def commands_in(line: str) -> Iterator[tuple[str, ...]]:
    """The arguments of each ``maestro`` in a line of shell; comments and variables before it are left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _WORDS_OF_SHELLS:
            words.append(word)
            continue
        while words and (words[0] == "$" or re.match(r"[A-Z_]+=", words[0])):
            del words[0]
        if words and words[0].rsplit("/", 1)[-1] == "maestro" and not words[0].startswith("/"):
            yield tuple(words[1:])
        words = []


def shown_commands(document: Path) -> Iterator[Shown]:
    text = text_of(document)
    lines = [line for block in blocks(text, "sh", "console", "text") for line in block.splitlines()]
    spans = [span for span in _CODE.findall(prose(text)) if span.startswith("maestro ")]
    # Of a block that is no shell, only lines that begin with a command are one.
    started = [line.strip() for line in lines if re.match(r"\s*(\$ )?([A-Z_]+=\S+ )*(\S*/)?maestro( |$)", line)]
    for line in [*started, *spans]:
        for words in commands_in(line):
            yield Shown(name_of(document), words)


ALL_SHOWN = [shown for document in DOCUMENTS for shown in shown_commands(document)]


def check_command(command: click.Command, words: list[str], name: str) -> None:
    """Raises what click says about words the command does not take; carries nothing out."""
    context = click.Context(command, info_name=name)
    values, rest, _order = command.make_parser(context).parse_args(list(words))
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name in values:
            parameter.type_cast_value(context, values[parameter.name])
    if isinstance(command, click.Group):
        if not rest:
            return
        found = command.get_command(context, rest[0])
        if found is None:
            raise click.UsageError(f"no command '{rest[0]}'", context)
        check_command(found, rest[1:], f"{name} {rest[0]}")
    elif rest:
        raise click.UsageError(f"it takes no '{rest[0]}'", context)


def test_the_documents_are_there() -> None:
    assert {name_of(document) for document in DOCUMENTS} >= EXPECTED


def test_the_readme_shows_the_help_as_it_is() -> None:
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "maestro.cli", "--help"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout in blocks(text_of(README), "text"), "copy `maestro --help` into README.md"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_and_image_leads_somewhere(document: Path) -> None:
    broken = []
    for target in _LINK.findall(prose(text_of(document))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in anchors(text_of(file))):
            broken.append(target)
    assert broken == []


def test_the_readme_links_every_document() -> None:
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in _LINK.findall(text_of(README))}
    assert [name_of(document) for document in DOCUMENTS if document not in {*linked, README}] == []


def test_every_workflow_of_the_readme_loads() -> None:
    found = blocks(text_of(README), "yaml")
    assert found
    for block in found:
        assert load_text(block.encode(), file="README.md", registry=Registry()).workflow.stages


def test_there_are_commands_to_check() -> None:
    named = {shown.words[0] for shown in ALL_SHOWN if shown.words}
    assert named >= {"init", "plan", "run", "dev", "logs", "retry", "artifacts"}


@pytest.mark.parametrize("shown", ALL_SHOWN, ids=str)
def test_every_command_line_names_a_command_and_options_that_exist(shown: Shown) -> None:
    check_command(group(), list(shown.words), "maestro")


@pytest.mark.parametrize("line", ["maestro rum", "maestro run --wach", "maestro dev --port x", "maestro cancel a b"])
def test_a_command_line_that_is_wrong_would_be_found(line: str) -> None:
    (words,) = commands_in(line)
    with pytest.raises(click.UsageError):
        check_command(group(), list(words), "maestro")


def test_commands_are_found_behind_variables_and_between_other_commands() -> None:
    line = "MAESTRO_PROFILE=postgres .venv/bin/maestro run build+ && maestro status | head  # maestro dev"
    assert list(commands_in(line)) == [("run", "build+"), ("status",)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_code_runs_over_the_end_of_a_line(document: Path) -> None:
    # It would escape the tests here, and some viewers show it broken.
    paragraphs = [line for line in prose(text_of(document)).splitlines() if not line.startswith("|")]
    assert [line for line in paragraphs if re.sub(r"``.*?``", "", line).count("`") % 2] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_of_the_project_a_document_names_is_there(document: Path) -> None:
    named = [word for span in _CODE.findall(prose(text_of(document))) for word in span.split()]
    files = [found[1] for word in named if (found := _FILE.fullmatch(word))]
    missing = [file for file in files if not (ROOT / file).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_document_names_a_package_registry_or_this_machine(document: Path) -> None:
    text = text_of(document)
    assert _REGISTRIES.findall(text) == []
    places = [place for place in (ROOT, Path.home(), Path(sys.prefix)) if len(place.parts) > 1]
    assert [str(place) for place in places if re.search(rf"(?<![\w.-]){re.escape(str(place))}(?![\w-])", text)] == []
