"""``python -m maestro.cli.dagster_program MODULE ARGUMENTS``: what ``python -m MODULE ARGUMENTS`` does, ready sooner.

Importing Dagster makes a million objects, and all of them stay. Looking through them for garbage meanwhile takes a
quarter of the time.
"""

from __future__ import annotations

import gc
import importlib
import sys

_PROGRAMS = {
    "dagster": "dagster._cli",
    "dagster._daemon": "dagster._daemon.cli",
    "dagster_webserver": "dagster_webserver.cli",
}
_COLLECT = (20_000, 20, 50)


def words(module: str, *arguments: str) -> tuple[str, ...]:
    """The arguments to Python that run ``module``: ``dagster``, ``dagster._daemon`` or ``dagster_webserver``."""
    if module not in _PROGRAMS:
        raise AssertionError(f"{module} is no program of Dagster")
    return ("-m", __name__, module, *arguments)


def main() -> None:
    """Becomes the program the first argument names."""
    name, *arguments = sys.argv[1:]
    gc.disable()
    program = importlib.import_module(_PROGRAMS[name])
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    gc.enable()
    sys.argv[:] = [f"{name}/__main__.py", *arguments]
    program.main()


if __name__ == "__main__":
    main()
