"""What every command shares: the global options, help with an example, and commands imported when they are named."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click


@dataclass
class GlobalOptions:
    """Options that may stand before or behind the command's name.

    Args:
        project: a folder inside the repository.
        file: the workflow file, when it is not ``maestro.yaml`` at the top.
        color: ``auto``: colours on a terminal only.
        warm: whether runs use the warm process, when an option says so; read by ``maestro.cli.warm.wanted``.
    """

    project: Path = Path()
    file: str | None = None
    profile: str | None = None
    debug: bool = False
    log_format: str = "text"
    color: str = "auto"
    warm: bool | None = None


def global_options(*, hidden: bool = False) -> Sequence[click.Option]:
    """The global options; behind a command's name they work as well, but are not repeated in its help."""

    def option(names: Sequence[str], help_text: str, **settings: Any) -> click.Option:
        return click.Option(
            names, help=help_text, expose_value=False, callback=_remember, hidden=hidden, default=None, **settings
        )

    folder = click.Path(file_okay=False, path_type=Path)
    return [
        option(["--project"], "Folder of the project; the current one if not given.", type=folder, metavar="DIR"),
        option(["--file"], "Workflow file; maestro.yaml at the repository's top if not given.", metavar="FILE"),
        option(["--profile"], "Profile, or a folder with one; $MAESTRO_PROFILE, else default.", metavar="NAME"),
        option(["--log-format"], "How progress is written.", type=click.Choice(["text", "json"])),
        option(["--color"], "When to use colours.", type=click.Choice(["auto", "always", "never"])),
        option(["--debug"], "Show tracebacks.", is_flag=True),
        option(
            ["--warm/--no-warm"], "Use a process that stays ready for the next run; $MAESTRO_WARM, else unless $CI."
        ),
    ]


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    if value is not None and option.name is not None:
        setattr(context.ensure_object(GlobalOptions), option.name, value)


class _WithExample:
    """Ends the help with an ``Example`` section."""

    example = ""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the example as it stands."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class ExampleCommand(_WithExample, click.Command):
    """A command whose help ends with an example."""

    def __init__(self, *, example: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.example = example
        # A command's own option of the same name is meant behind the command's name.
        own = {name for parameter in self.params for name in parameter.opts}
        self.params += [option for option in global_options(hidden=True) if own.isdisjoint(option.opts)]


class LazyGroup(_WithExample, click.Group):
    """Commands imported when they are named: ``NAME`` is ``commands_of.NAME.command``.

    Args:
        table: command -> one line about it.
    """

    def __init__(self, *, commands_of: str, table: Mapping[str, str], example: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.example = example
        self._package = commands_of
        self._table = table

    def list_commands(self, _context: click.Context) -> list[str]:
        """Names, in the order of the table."""
        return list(self._table)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """The command, imported now."""
        if name not in self._table:
            return None
        command: click.Command = importlib.import_module(f"{self._package}.{self.module_of(name)}").command
        return command

    def module_of(self, name: str) -> str:
        """Name of the module a command is in."""
        return name

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        """Finds the command; an unknown one is answered with the nearest name."""
        name = args[0]
        if name not in self._table and not name.startswith("-"):
            close = difflib.get_close_matches(name, self._table, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else f"; commands: {', '.join(self._table)}"
            raise click.UsageError(f"there is no command '{name}'{hint}", context)
        return super().resolve_command(context, args)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._table.items()))


Function = TypeVar("Function", bound=Callable[..., Any])


def example_command(name: str, *, example: str) -> Callable[[Function], ExampleCommand]:
    """Makes a function a command; its docstring is the help."""

    def make(function: Function) -> ExampleCommand:
        made = click.command(name, cls=ExampleCommand, example=example)(function)
        assert isinstance(made, ExampleCommand)
        return made

    return make


JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
REMOTE_OPTION = click.option("--remote", metavar="URL", help="A running server instead of this machine.")
PARAM_OPTION = click.option(
    "--param", "assignments", multiple=True, metavar="NAME=VALUE", help="Parameter; the value is JSON or text."
)
pass_options = click.make_pass_decorator(GlobalOptions, ensure=True)
