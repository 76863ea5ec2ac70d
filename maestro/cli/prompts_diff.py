"""``maestro prompts diff``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.prompts import Prompt

_COLORS = {"+": "green", "-": "red", "@": "cyan"}


@example_command(
    "diff",
    example="""maestro prompts diff review                 # the last commit, and the file as it is now
maestro prompts diff review@v1.2.0 HEAD --strict
maestro prompts diff old/review.yaml new/review.yaml""",
)
@click.argument("old", metavar="NAME[@REV]")
@click.argument("new", required=False, metavar="[REV]")
@click.option("--strict", is_flag=True, help="Exit code 1 when it changed and its version did not.")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, old: str, new: str | None, strict: bool, as_json: bool) -> int:
    """Show what changed in a prompt, and whether its version says so.

    NAME at REV (the last commit if not given) is compared with NAME at the second REV, or as it is now. Two files
    (*.yaml) are compared with each other, whatever they are called.
    """
    from maestro.prompts.comparison import compare

    before, after = _pair(options, old, new)
    found = compare(before, after)
    terminal = Terminal(options)
    wrong = strict and found.verdict == "not_renumbered"
    if as_json:
        terminal.json(
            {
                "verdict": found.verdict,
                "old": {"file": before.file, "version": before.version, "digest": before.digest},
                "new": {"file": after.file, "version": after.version, "digest": after.digest},
                "changes": [{"part": one.part, "diff": list(one.lines)} for one in found.changes],
            }
        )
        return 1 if wrong else 0
    for one in found.changes:
        terminal.line(terminal.paint(one.part, "bold"))
        for line in one.lines[2:]:
            shown = printable(line)
            terminal.line(f"  {terminal.paint(shown, _COLORS[line[:1]]) if line[:1] in _COLORS else shown}")
    terminal.line(f"version {before.version} -> {after.version}, digest {before.digest[7:19]} -> {after.digest[7:19]}")
    words = {
        "same": "what it asks is the same",
        "changed": "what it asks changed, under a new version",
        "renumbered": "it has a new version and asks the same",
        "not_renumbered": f"{'error' if strict else 'warning'}: what it asks changed without a new version",
    }
    color = {"not_renumbered": "red" if strict else "yellow"}.get(found.verdict, "")
    terminal.line(terminal.paint(words[found.verdict], color) if color else words[found.verdict])
    return 1 if wrong else 0


def _pair(options: GlobalOptions, old: str, new: str | None) -> tuple[Prompt, Prompt]:
    from maestro.prompts import load_file

    if old.endswith((".yaml", ".yml")):
        if new is None:
            raise InputError("a file is compared with another file", next_step="give two files, or a NAME")
        return load_file(Path(old), any_name=True), load_file(Path(new), any_name=True)
    name, at, revision = old.partition("@")
    if at and not revision:
        raise InputError(f"'{old}' has no revision behind '@'", next_step="write NAME@REV")
    before = _at(options, name, revision or "HEAD")
    return before, _at(options, name, new) if new is not None else _now(options, name)


def _now(options: GlobalOptions, name: str) -> Prompt:
    from maestro.cli.prompts_source import folders_of, shown_file
    from maestro.prompts import load_file, load_prompt, prompt_files

    files = prompt_files(folders_of(options), builtin=False)
    if name not in files:
        load_prompt(name, folders_of(options))
        raise InputError(
            f"the prompt '{name}' comes with Maestro and has no revisions here", next_step="give two files to compare"
        )
    return load_file(files[name], file=shown_file(files[name]))


def _at(options: GlobalOptions, name: str, revision: str) -> Prompt:
    """The prompt as it was at ``revision``."""
    from maestro.project import Project
    from maestro.project.git import GitError
    from maestro.prompts.load import FOLDER, SUFFIX, load_text

    project = Project.find(options.project, file=options.file)
    commit = project.git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not commit:
        raise InputError(f"there is no revision '{printable(revision)}'", next_step="give a commit, branch or tag")
    path = f"{FOLDER}/{name}{SUFFIX}"
    try:
        content = project.git("cat-file", "blob", f"{commit}:{path}")
    except GitError:
        _now(options, name)
        raise InputError(
            f"there is no {path} at '{printable(revision)}'", next_step="give a revision that has it, or two files"
        ) from None
    return load_text(content, file=f"{revision}:{path}", folder=project.root / FOLDER, stem=name)
