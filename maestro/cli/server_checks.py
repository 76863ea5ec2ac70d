"""What ``maestro doctor`` looks at in a server's home."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from maestro.cli.checks import LEAST_BYTES, Check
from maestro.cli.options import GlobalOptions
from maestro.cli.server_home import projects_of, server_home
from maestro.cli.server_lock import holder
from maestro.cli.terminal import plural, size
from maestro.errors import MaestroError, missing_library
from maestro.server.home import ServerHome
from maestro.server.references import read_reference

_DATABASE = "server database"


def server_checks(options: GlobalOptions, folder: Path | None) -> Iterator[Check]:
    """Every check of a server, most basic first; nothing more when its settings are wrong."""
    try:
        home = server_home(options, folder)
    except MaestroError as error:
        yield _failed("server", error)
        return
    running = holder(home.folder / "server.lock")
    yield Check("server", "ok", f"{home.folder}, {f'runs as process {running}' if running else 'not running'}")
    checks: list[tuple[str, Callable[[ServerHome], Check]]] = [
        ("server profile", _profile),
        (_DATABASE, _database),
        ("server secrets", _secrets),
        ("server disk", _disk),
    ]
    for name, check in checks:
        try:
            yield check(home)
        except MaestroError as error:
            yield _failed(name, error)


def _failed(name: str, error: MaestroError) -> Check:
    place = f"{error.where}: " if error.where else ""
    return Check(name, "fail", f"{place}{error.what}", error.next_step)


def _profile(home: ServerHome) -> Check:
    from maestro.profile import load_profile

    profile = load_profile(home.settings.profile)
    return Check("server profile", "ok", f"{profile.name} ({profile.folder})")


def _database(home: ServerHome) -> Check:
    try:
        found = projects_of(home).all()
    except ModuleNotFoundError as error:
        missing = missing_library(error, "the server's database")
        if missing is None:
            raise
        raise missing from error
    kind = "SQLite files in the home" if home.settings.database is None else "PostgreSQL"
    next_step = None if found else "maestro projects add URL"
    return Check(_DATABASE, "ok" if found else "warn", f"{kind}, {plural(len(found), 'project')}", next_step)


def _secrets(home: ServerHome) -> Check:
    github = home.settings.github
    projects = projects_of(home).all()
    own = (one for project in projects for one in (*project.hook_secrets, project.credentials))
    named = [*home.settings.gateway.secrets, github.token, github.private_key, *own]
    references = sorted({one for one in named if one not in (None, "app")})
    for reference in references:
        try:
            read_reference(reference)
        except MaestroError as error:
            # A variable may well be set for the server and not for whoever asks.
            state: Check = _failed("server secrets", error)
            return Check(state.name, "warn", state.found, state.next_step) if reference.startswith("env:") else state
    unsigned = [one.name for one in projects if one.provider != "git" and not one.hook_secrets]
    if unsigned and not home.settings.gateway.secrets:
        found = f"{', '.join(unsigned)} has no webhook secret, so its webhooks are refused"
        return Check("server secrets", "fail", found, "set gateway.secrets in server.yaml, or add the project again")
    return Check("server secrets", "ok", f"{plural(len(references), 'secret')} can be read")


def _disk(home: ServerHome) -> Check:
    free = shutil.disk_usage(home.folder).free
    found = f"{size(free)} free under {home.folder}"
    if free < LEAST_BYTES:
        return Check("server disk", "warn", found, "make room: webhooks are refused when the disk is full")
    return Check("server disk", "ok", found)
