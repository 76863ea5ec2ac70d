"""``maestro llm pull``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION, MoneyPlace
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable, size
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.llm.ollama.client import OllamaClient
    from maestro.llm.ollama.facts import PresentModel
    from maestro.llm.ollama.pull import Progress

_STEP = 10
"""Per cent between two lines, where the progress cannot be drawn."""


@example_command("pull", example="maestro llm pull qwen3:8b\nmaestro llm pull qwen3:8b --json")
@click.argument("model")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, model: str, server_home: Path | None, as_json: bool) -> int:
    """Have Ollama fetch a model, or bring it up to date.

    MODEL is one of the catalogue's that Ollama serves, or any name Ollama knows. What has come is kept when it is
    stopped (Ctrl-C) or breaks off; run again, it goes on from there.
    """
    from maestro.cli.money_source import place_of

    name, client = _asked(model, place_of(options, server_home))
    errors = Terminal(options, sys.stderr)
    last: list[Progress] = []
    try:
        with _shown(errors, name) as show:

            def on_progress(progress: Progress) -> None:
                last[:] = [progress]
                show(progress)

            found = asyncio.run(_pulled(client, name, on_progress))
    except KeyboardInterrupt:
        come = f"{size(last[0].done)} of {size(last[0].total)} have come and are kept" if last else "nothing has come"
        errors.line(f"stopped: {come}; run it again to go on")
        raise
    terminal = Terminal(options)
    if as_json:
        terminal.json({"model": found.name, "bytes": found.size, "digest": found.digest, "url": client.url})
        return 0
    facts = [size(found.size), printable(found.parameters), printable(found.quantization)]
    terminal.line(printable(f"Ollama has {found.name}: {', '.join(one for one in facts if one)}"))
    return 0


def _asked(model: str, place: MoneyPlace) -> tuple[str, OllamaClient]:
    """The name Ollama knows it by, and the Ollama that is to have it."""
    from maestro.cli.llm_source import catalogue_of
    from maestro.llm.keyring import Keyring
    from maestro.llm.named_by_ollama import with_ollama_models
    from maestro.llm.ollama.client import OllamaClient

    if not model.strip() or not model.isprintable() or any(one.isspace() for one in model):
        raise InputError("that is no name of a model", next_step="write it as Ollama does, like qwen3:8b")
    catalogue = with_ollama_models(catalogue_of(place), [model])
    found = catalogue.models.get(model)
    if found is None:
        what = "a route" if model in catalogue.routes else "not known, and the catalogue has no provider 'ollama'"
        raise InputError(f"'{model}' is {what}", next_step="name a model that Ollama has: `maestro llm models`")
    if found.kind != "ollama":
        raise InputError(
            f"there is nothing to fetch for '{model}': {found.provider} serves it, and not Ollama",
            next_step="name one of Ollama's: `maestro llm models`, or https://ollama.com/library",
        )
    key = Keyring([found.key] if found.key else [], place.environ, place.home).value(found.key)
    return found.wire_model, OllamaClient(found.api_base or place.environ.get("OLLAMA_HOST"), key=key)


async def _pulled(client: OllamaClient, name: str, on_progress: Callable[[Progress], None]) -> PresentModel:
    from maestro.llm.ollama.desk import OllamaDesk

    desk = OllamaDesk(client, pulls=True)
    try:
        # Whoever waits for gigabytes wants to know at once that nobody answers.
        await client.version()
        return await desk.pull(name, on_progress=on_progress)
    finally:
        await desk.close()


@contextmanager
def _shown(terminal: Terminal, name: str) -> Iterator[Callable[[Progress], None]]:
    """What shows the progress: drawn on a terminal, else lines."""
    if not terminal.interactive:
        yield _lines(terminal)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns: list[Any] = [TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(True)]
    columns += [TransferSpeedColumn(), TimeRemainingColumn()]
    console = Console(file=terminal.stream, no_color=not terminal.colored)
    with Bars(*columns, console=console) as bars:
        task: TaskID = bars.add_task(name, total=None)

        def show(progress: Progress) -> None:
            bars.update(
                task, description=progress.status or name, total=progress.total or None, completed=progress.done
            )

        yield show


def _lines(terminal: Terminal) -> Callable[[Progress], None]:
    told: list[tuple[str, int, int]] = []

    def show(progress: Progress) -> None:
        status = "pulling" if progress.status.startswith("pulling ") and progress.total else progress.status
        step = int(progress.share * 100) // _STEP if progress.total else -1
        # A layer that becomes known makes more of it.
        if (status, step, progress.total) in told:
            return
        told.append((status, step, progress.total))
        come = f": {size(progress.done)} of {size(progress.total)}" if status == "pulling" else ""
        terminal.line(f"{status}{come}")
        terminal.stream.flush()

    return show
