"""``maestro prompts render``."""

from __future__ import annotations

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command(
    "render",
    example="""maestro prompts render code_review --var diff=@change.diff
maestro prompts render triage --var log=@build.log --var exit_code=2 --json""",
)
@click.argument("name")
@click.option(
    "--var",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Variable; JSON or text, @FILE its text, @- standard input.",
)
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, name: str, assignments: tuple[str, ...], as_json: bool) -> int:
    """Show what a prompt asks with these variables.

    Nothing is sent. What is marked as personal data is named below the messages: it is replaced before it leaves.
    """
    from maestro.cli.prompts_source import folders_of, values_of
    from maestro.prompts import load_prompt, render
    from maestro.prompts.rendering import estimated_tokens
    from maestro.prompts.testing import snapshot_text

    prompt = load_prompt(name, folders_of(options))
    rendered = render(prompt, values_of(prompt, assignments))
    tokens = estimated_tokens(rendered.messages)
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {
                "name": rendered.name,
                "version": rendered.version,
                "digest": rendered.digest,
                "messages": [dict(one) for one in rendered.messages],
                "personal": list(rendered.personal),
                "needs": sorted(rendered.needs),
                "policy": dict(rendered.policy),
                "estimated_input_tokens": tokens,
                "max_output_tokens": rendered.max_output_tokens,
                "temperature": rendered.temperature,
            }
        )
        return 0
    # Standard output is what is asked and nothing else, so that it can be given to another program.
    text = snapshot_text(rendered).encode("utf-8", "replace").decode("utf-8")
    # On a terminal without what moves the cursor: a diff or a log may come from anybody.
    if terminal.interactive:
        text = "".join(one if one in "\n\t" else printable(one) for one in text)
    terminal.stream.write(text)
    terminal.stream.flush()
    click.echo(f"{rendered.name} {rendered.version} ({rendered.digest[:19]}…), about {tokens:,} tokens", err=True)
    if rendered.personal:
        personal = printable(", ".join(rendered.personal))
        click.echo(f"personal, replaced before it leaves: {personal}", err=True)
    return 0
