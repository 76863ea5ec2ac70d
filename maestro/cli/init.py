"""``maestro init``."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal
from maestro.errors import InputError, Location


def _complete_template(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    from maestro.workflow.templates import TEMPLATES

    return [CompletionItem(name) for name in TEMPLATES if name.startswith(typed)]


@example_command(
    "init",
    example="""maestro init                     # looks at what is there
maestro init --template go
maestro init --print > ci.yaml""",
)
@click.option(
    "--template",
    default="auto",
    show_default=True,
    metavar="NAME",
    shell_complete=_complete_template,
    help="auto, python, typescript, go, rust, make or minimal.",
)
@click.option("--force", is_flag=True, help="Overwrite the workflow file.")
@click.option("--print", "printed", is_flag=True, help="Print it, write nothing.")
@pass_options
def command(options: GlobalOptions, template: str, force: bool, printed: bool) -> int:
    """Write a maestro.yaml for this repository, after looking at what is there."""
    from maestro.cli.prepare import find_project
    from maestro.cli.surroundings import look, untidy, words
    from maestro.steps import Registry
    from maestro.workflow.load import load_text
    from maestro.workflow.templates import assumed, check_template, compose

    check_template(template)
    project = find_project(options)
    target = project.workflow_file
    if target.exists() and not force and not printed:
        raise InputError(
            "there is a workflow file already",
            where=Location(str(target)),
            next_step="keep it, or overwrite it with --force",
        )
    seen = look(project.root)
    registry = Registry()
    text = compose(project.default_name(), assumed(template, seen), registry.names)
    load_text(text.encode(), file=target.name, registry=registry)
    terminal = Terminal(options)
    if printed:
        terminal.stream.write(text)
        return 0
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(target)
    except OSError as error:
        raise InputError(
            f"the file cannot be written: {error.strerror}", where=Location(str(target)), next_step="check the folder"
        ) from error
    terminal.line(f"found: {', '.join(words(seen)) or 'nothing Maestro knows'}")
    terminal.line(f"wrote {os.path.relpath(target)}")
    loose = untidy(project, seen)
    if loose:
        terminal.line(f"git does not ignore {', '.join(loose)}: add them to .gitignore, or they count as source")
    terminal.line("next: maestro plan")
    return 0
