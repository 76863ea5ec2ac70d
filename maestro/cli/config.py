"""``maestro config``."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable
from maestro.errors import MaestroError

# Name -> whether its value may be shown; an URL may hold a password.
VARIABLES = {
    "MAESTRO_HOME": True,
    "MAESTRO_PROFILE": True,
    "MAESTRO_POSTGRES_URL": False,
    "MAESTRO_TOKEN": False,
    "MAESTRO_PROJECT": True,
    "MAESTRO_FILE": True,
    "DAGSTER_HOME": True,
    "NO_COLOR": True,
}
_PASSWORD = re.compile(r"(://[^/@:]*:)[^/]*@")
"""Of a URL, with the user before it."""


@example_command(
    "config",
    example="""maestro config
maestro --profile postgres config --json""",
)
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, as_json: bool) -> int:
    """Show the effective configuration and where each part comes from.

    Secrets are shown by name only, with whether they are there.
    """
    terminal = Terminal(options)
    found = configuration(options)
    if as_json:
        terminal.json(found)
        return 0
    for section, values in found.items():
        terminal.line(terminal.paint(section, "bold"))
        rows = [(f"  {name}", _shown(one["value"]), one["from"]) for name, one in values.items()]
        if not rows:
            terminal.line("  none")
            continue
        for line in terminal.table(("  NAME", "VALUE", "FROM"), rows)[1:]:
            terminal.line(line)
    return 0


def configuration(options: GlobalOptions) -> dict[str, dict[str, dict[str, Any]]]:
    """Section -> name -> value and where it comes from."""
    from maestro import __version__
    from maestro.cli.prepare import find_project
    from maestro.profile import load_profile

    project = find_project(options)
    profile = load_profile(options.profile)
    moved = "MAESTRO_HOME" if os.environ.get("MAESTRO_HOME") else "the repository"
    chosen = "--profile" if options.profile else "MAESTRO_PROFILE" if os.environ.get("MAESTRO_PROFILE") else "default"
    settings_file = profile.folder / "settings.yaml"
    given = profile.settings.model_fields_set
    workflow, secrets = _workflow(options)
    return {
        "maestro": {
            "version": _entry(__version__, "the package"),
            "python": _entry(sys.executable, "this process"),
        },
        "project": {
            "root": _entry(str(project.root), "git"),
            "workflow file": _entry(str(project.workflow_file), "--file" if options.file else "the repository"),
            "state folder": _entry(str(project.home), moved),
            **workflow,
        },
        "profile": {
            "name": _entry(profile.name, chosen),
            "folder": _entry(str(profile.folder), chosen),
            "dagster.yaml": _entry(str(profile.dagster_yaml), "the profile"),
        },
        "settings": {
            name: _entry(_without_passwords(value), str(settings_file) if name in given else "default")
            for name, value in profile.settings.model_dump(mode="json").items()
        },
        "environment": {
            name: _entry(os.environ[name] if shown else "set", "the environment")
            for name, shown in VARIABLES.items()
            if name in os.environ
        },
        "secrets": secrets,
    }


def _workflow(options: GlobalOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    from maestro.cli.prepare import open_project
    from maestro.secrets import SecretReader, SecretSource

    try:
        opened = open_project(options)
    except MaestroError as error:
        place = f"{error.where}: " if error.where else ""
        return {"workflow": _entry(f"cannot be read: {place}{error.what}", "the workflow file")}, {}
    workflow = opened.loaded.workflow
    name_from = "the workflow file" if workflow.project else "the repository"
    about = {
        "workflow": _entry(f"{workflow.name} {workflow.version}", "the workflow file"),
        "name": _entry(opened.name, name_from),
    }
    sources = workflow.secret_sources
    reader = SecretReader(
        opened.project.root,
        os.environ,
        {n: SecretSource(provider=s.provider, variable=s.variable, path=s.path) for n, s in sources.items()},
    )
    secrets = {
        name: _entry(
            "available" if reader.available(name) else "missing",
            f"file {source.path}" if source.provider == "file" else f"variable {source.variable or name}",
        )
        for name, source in sources.items()
    }
    return about, secrets


def _entry(value: Any, origin: str) -> dict[str, Any]:
    return {"value": value, "from": origin}


def _without_passwords(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_passwords(one) for name, one in value.items()}
    return _PASSWORD.sub(r"\1***@", value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    return "not set" if value is None else printable(str(value))
