"""When the warm process is used: for commands that run steps on this machine, unless somebody says no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

VARIABLE = "MAESTRO_WARM"
ON, OFF = "--warm", "--no-warm"
WITH_VALUE = frozenset({"--project", "--file", "--profile", "--log-format", "--color"})
"""Global options that are followed by a value."""

_COMMANDS = ("run", "retry")
_ELSEWHERE = ("--remote", "--watch", "--help")
"""With these a command does not run steps here, or goes on for so long that its start does not matter."""


def wanted(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether the command may be handed to the warm process, and starts one when there is none.

    A flag counts before the variable ``MAESTRO_WARM`` (``on`` or ``off``), that before ``CI``: where nobody watches,
    nothing is left running.
    """
    options = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    if command_of(options) not in _COMMANDS or any(one.split("=", 1)[0] in _ELSEWHERE for one in options):
        return False
    said = [one for one in options if one in (ON, OFF)]
    return said[-1] == ON if said else allowed(environ)


def allowed(environ: Mapping[str, str]) -> bool:
    """What the environment says about it; a value that means nothing is a no, and ``check`` says so."""
    setting = environ.get(VARIABLE, "")
    return setting == "on" if setting else environ.get("CI", "").lower() in ("", "0", "false")


def check(environ: Mapping[str, str]) -> None:
    """Raises InputError when the variable has a value that means nothing."""
    if environ.get(VARIABLE, "") not in ("", "on", "off"):
        from maestro.errors import InputError

        raise InputError(
            f"{VARIABLE} is '{environ[VARIABLE]:.40}', and means nothing", next_step=f"set {VARIABLE} to on or off"
        )


def command_of(arguments: Sequence[str]) -> str | None:
    """The command's name, behind global options."""
    rest = iter(arguments)
    for one in rest:
        if one in WITH_VALUE:
            next(rest, None)
        elif not one.startswith("-"):
            return one
    return None


def project_of(arguments: Sequence[str]) -> str:
    """The folder ``--project`` names, wherever it stands; the current one otherwise."""
    found = "."
    for place, one in enumerate(arguments):
        if one == "--project" and place + 1 < len(arguments):
            found = arguments[place + 1]
        elif one.startswith("--project="):
            found = one.partition("=")[2]
    return found
