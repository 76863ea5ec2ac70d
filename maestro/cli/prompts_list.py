"""``maestro prompts list``."""

from __future__ import annotations

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable
from maestro.errors import MaestroError


@example_command("list", example="maestro prompts list\nmaestro prompts list --json")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, as_json: bool) -> int:
    """List the prompts of this project and those of Maestro.

    A project's are in prompts/NAME.yaml; one called like one of Maestro's stands in for it. Exit code 1 when one of
    them cannot be used.
    """
    from maestro.cli.prompts_source import folders_of, shown_file
    from maestro.prompts import Prompt, load_file, prompt_files
    from maestro.prompts.load import BUILTIN

    found: list[tuple[str, str, Prompt | MaestroError]] = []
    for name, path in prompt_files(folders_of(options)).items():
        source = "maestro" if path.parent == BUILTIN else "project"
        try:
            found.append((name, source, load_file(path, file=shown_file(path))))
        except MaestroError as error:
            found.append((name, source, error))
    wrong = [one for _name, _source, one in found if isinstance(one, MaestroError)]
    terminal = Terminal(options)
    if as_json:
        terminal.json({"prompts": [_data(name, source, one) for name, source, one in found]})
        return 1 if wrong else 0
    rows = [
        (
            one.name,
            one.version,
            source,
            one.digest[7:19],
            ", ".join(one.variable_names) or "-",
            printable(one.description),
        )
        if isinstance(one, Prompt)
        else (printable(name), "-", source, "-", "-", "cannot be used, see below")
        for name, source, one in found
    ]
    for line in terminal.table(("NAME", "VERSION", "FROM", "DIGEST", "VARIABLES", "WHAT FOR"), rows):
        terminal.line(line)
    for refusal in wrong:
        terminal.line()
        terminal.line(str(refusal))
    return 1 if wrong else 0


def _data(name: str, source: str, one: object) -> dict[str, object]:
    from maestro.prompts import Prompt

    if not isinstance(one, Prompt):
        return {"name": name, "from": source, "error": str(one)}
    return {
        "name": one.name,
        "version": one.version,
        "digest": one.digest,
        "from": source,
        "file": one.file,
        "description": one.description,
        "variables": one.variables,
        "requires": sorted(one.requires),
        "policy": dict(one.policy),
        "max_input_tokens": one.max_input_tokens,
        "max_output_tokens": one.max_output_tokens,
        "temperature": one.temperature,
        "tests": len(one.tests),
    }
