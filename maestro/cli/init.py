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
maestro init --print > ci.yaml
maestro init --ci github         # a workflow for GitHub Actions, beside maestro.yaml""",
)
@click.option(
    "--template",
    default="auto",
    show_default=True,
    metavar="NAME",
    shell_complete=_complete_template,
    help="auto, python, typescript, go, rust, make or minimal.",
)
@click.option(
    "--ci",
    type=click.Choice(["github", "gitlab"]),
    help="Write the file that makes this service's own runners run maestro.yaml.",
)
@click.option("--force", is_flag=True, help="Overwrite the file; with --ci that of the service alone.")
@click.option("--print", "printed", is_flag=True, help="Print it, write nothing.")
@pass_options
def command(options: GlobalOptions, template: str, ci: str | None, force: bool, printed: bool) -> int:
    """Write a maestro.yaml for this repository, after looking at what is there.

    With --ci a file for GitHub Actions or GitLab CI is written, and maestro.yaml as well when there is none.
    """
    from maestro.cli.output_file import replace_file
    from maestro.cli.prepare import find_project
    from maestro.cli.surroundings import look, untidy, words
    from maestro.steps import Registry
    from maestro.workflow.load import load_text
    from maestro.workflow.templates import assumed, check_template, compose

    check_template(template)
    project = find_project(options)
    target = project.workflow_file
    terminal = Terminal(options)
    if ci is not None:
        from maestro.cli.ci_file import compose_ci, write_ci

        text = compose_ci(project, ci)
        if printed:
            terminal.stream.write(text)
            return 0
        write_ci(terminal, project, ci, text, force=force)
        if target.exists():
            terminal.line("next: read it, then commit and push it")
            return 0
    elif target.exists() and not force and not printed:
        raise InputError(
            "there is a workflow file already",
            where=Location(str(target)),
            next_step="keep it, or overwrite it with --force",
        )
    seen = look(project.root)
    registry = Registry()
    text = compose(project.default_name(), assumed(template, seen), registry.names)
    load_text(text.encode(), file=target.name, registry=registry)
    if printed:
        terminal.stream.write(text)
        return 0
    replace_file(target, text)
    terminal.line(f"found: {', '.join(words(seen)) or 'nothing Maestro knows'}")
    terminal.line(f"wrote {os.path.relpath(target)}")
    loose = untidy(project, seen)
    if loose:
        terminal.line(f"git does not ignore {', '.join(loose)}: add them to .gitignore, or they count as source")
    terminal.line("next: maestro plan")
    return 0
