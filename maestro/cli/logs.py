"""``maestro logs``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator

import click

from maestro.cli.complete import complete_run
from maestro.cli.options import REMOTE_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, pad, width
from maestro.llm.texts import harmless
from maestro.runs.client import News, Runs
from maestro.runs.lines import Lines


@example_command(
    "logs",
    example="""maestro logs                        # all steps of the newest run
maestro logs latest test/unit > log # one step, exactly as it was written
maestro logs 3fa9 -f                # on and on, until the run ends""",
)
@click.argument("run", default="latest", shell_complete=complete_run)
@click.argument("step", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@REMOTE_OPTION
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line: time, run, step, state, message.")
@pass_options
def command(options: GlobalOptions, run: str, step: str | None, follow: bool, remote: str | None, as_json: bool) -> int:
    """Show what a run's steps have written.

    RUN is an id, the first characters of one, or "latest". STEP is a step's name, its id, or a stage. A terminal gets
    no codes of what was written, such as colours.
    """
    from maestro.cli.runs_source import open_runs

    terminal = Terminal(options)
    with open_runs(options, remote) as runs:
        if follow:
            _follow(terminal, runs, run, step, as_json=as_json)
        else:
            _show(terminal, runs, run, step, as_json=as_json)
    return 0


def _show(terminal: Terminal, runs: Runs, run: str, step: str | None, *, as_json: bool) -> None:
    view = runs.get(run)
    if step is not None and not as_json and terminal.stream.isatty():
        for text in _lines(runs.log(view.run_id, step)):
            terminal.line(harmless(text))
        return
    if step is not None and not as_json:
        for data in runs.log(view.run_id, step):
            terminal.stream.flush()
            sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    from maestro.runs.reading import chosen_steps

    names = [one.step for one in view.steps]
    chosen = chosen_steps(names, [step]) if step is not None else set(names)
    for one in view.steps:
        if one.step not in chosen or one.started is None:
            continue
        if not as_json:
            terminal.line(terminal.paint(f"── {one.step}: {one.state}", "bold"))
        for text in _lines(runs.log(view.run_id, one.step)):
            if as_json:
                terminal.line(_object(None, view.run_id, one.step, None, text))
            else:
                terminal.line(harmless(text))


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    lines = Lines()
    for chunk in chunks:
        yield from lines.take(chunk)
    yield from lines.rest()


def _follow(terminal: Terminal, runs: Runs, run: str, step: str | None, *, as_json: bool) -> None:
    run_id = runs.get(run).run_id
    columns = 0
    for news in runs.follow(run_id, steps=[step] if step else []):
        if as_json:
            terminal.line(_news_object(run_id, news))
        elif news.step is not None and news.text is not None:
            columns = max(columns, width(news.step.step))
            terminal.line(f"{terminal.paint(f'{pad(news.step.step, columns)} |', 'dim')} {harmless(news.text)}")
        elif news.run is not None and news.run.finished:
            terminal.line(f"run {news.run.run_id[:8]} {terminal.state(news.run.state)}")
        terminal.stream.flush()


def _news_object(run_id: str, news: News) -> str:
    step = news.step.step if news.step else None
    if news.text is not None:
        return _object(news.time, run_id, step, None, news.text)
    if news.step is not None:
        return _object(news.time, run_id, step, news.step.state, news.step.summary)
    return _object(news.time, run_id, None, news.run.state if news.run else None, "")


def _object(time: float | None, run_id: str, step: str | None, state: str | None, message: str) -> str:
    line = {"time": time, "run": run_id, "step": step, "state": state, "message": message}
    return json.dumps(line, ensure_ascii=False)
