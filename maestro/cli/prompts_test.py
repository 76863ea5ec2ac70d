"""``maestro prompts test``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural
from maestro.errors import InputError, MaestroError

if TYPE_CHECKING:
    from maestro.prompts.testing import Result


@example_command(
    "test",
    example="""maestro prompts test                      # the project's prompts; Maestro's where it has none
maestro prompts test code_review --run empty
maestro prompts test --update             # after a look at what they render to""",
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--run", "only", default="", metavar="TEXT", help="Only tests with this in their name.")
@click.option("--update", is_flag=True, help="Write the snapshots anew in place of comparing with them.")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, names: tuple[str, ...], only: str, update: bool, as_json: bool) -> int:
    """Run the tests of prompts; nothing is asked of a model.

    A test renders the prompt and compares it with its snapshot, and holds recorded answers to what is expected of
    them. Exit code 1 when one fails.
    """
    from maestro.cli.prompts_source import folders_of, shown_file
    from maestro.prompts import load_file, load_prompt, prompt_files
    from maestro.prompts.testing import run_tests

    folders = folders_of(options)
    files = prompt_files(folders, builtin=bool(names)) or prompt_files(folders)
    for name in names:
        if name not in files:
            load_prompt(name, folders)  # says which there are
    results: list[Result] = []
    wrong: list[MaestroError] = []
    untested: list[str] = []
    for name in dict.fromkeys(names or files):
        try:
            prompt = load_file(files[name], file=shown_file(files[name]))
        except MaestroError as error:
            wrong.append(error)
            continue
        results += run_tests(prompt, update=update, only=only)
        if not prompt.tests:
            untested.append(name)
    if only and not results and not wrong:
        raise InputError(f"no test has '{only}' in its name", next_step="see the tests in the prompts' files")
    failed = [one for one in results if one.state == "failed"]
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {
                "passed": not failed and not wrong,
                "tests": [
                    {"prompt": one.prompt, "test": one.test, "state": one.state, "faults": list(one.faults)}
                    for one in results
                ],
                "errors": [str(refusal) for refusal in wrong],
                "untested": untested,
            }
        )
        return 1 if failed or wrong else 0
    _show(terminal, results)
    for refusal in wrong:
        terminal.line(str(refusal))
    for name in untested:
        terminal.line(f"{terminal.paint('untested', 'yellow')}  {name} has no test")
    updated = sum(one.state == "updated" for one in results)
    written = f", {plural(updated, 'snapshot')} written" if updated else ""
    refused = f", {plural(len(wrong), 'prompt')} cannot be used" if wrong else ""
    terminal.line(f"{plural(len(results), 'test')}, {len(failed)} failed{written}{refused}")
    return 1 if failed or wrong else 0


def _show(terminal: Terminal, results: Sequence[Result]) -> None:
    for one in results:
        if one.state == "passed":
            continue
        color = "red" if one.state == "failed" else "cyan"
        terminal.line(f"{terminal.paint(one.state, color)}  {one.prompt}: {one.test}  ({one.where})")
        for fault in one.faults:
            for line in fault.splitlines():
                terminal.line(f"  {line}")
