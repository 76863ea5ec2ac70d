"""``maestro completion``."""

from __future__ import annotations

import click

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command(
    "completion",
    example="""maestro completion bash >> ~/.bashrc
maestro completion zsh >> ~/.zshrc
maestro completion fish > ~/.config/fish/completions/maestro.fish""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_options
def command(options: GlobalOptions, shell: str) -> int:
    """Print the script that completes commands in a shell.

    It completes commands and options, names of steps and stages, and ids of runs.
    """
    from click.shell_completion import BashComplete, ShellComplete, get_completion_class

    from maestro.cli.main import group

    chosen = get_completion_class(shell)
    assert chosen is not None
    script = chosen(group(), {}, "maestro", "_MAESTRO_COMPLETE")
    # BashComplete would first start bash to see how old it is; whoever loads the script will find out.
    source = ShellComplete.source(script) if isinstance(script, BashComplete) else script.source()
    Terminal(options).stream.write(source)
    return 0
