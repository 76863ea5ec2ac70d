"""Chooses the Python interpreter that has the module a step needs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from maestro.errors import InputError
from maestro.steps import Requirement, StepContext

_VIRTUAL = (".venv/bin/python", "venv/bin/python")
# Nothing is imported, which would be slow; a folder that merely has the module's name has no origin.
_PROBE = """
import importlib.util, os, sys
spec = importlib.util.find_spec(sys.argv[1])
found = spec is not None and spec.origin is not None
folders = (spec.submodule_search_locations or []) if found else []
sys.exit(0 if any(os.path.isfile(os.path.join(folder, "__main__.py")) for folder in folders) else 1)
"""


def candidates(chosen: str | None, folder: Path, workspace: Path, which: Callable[[str], str | None]) -> list[str]:
    """Interpreters in the order they are tried.

    The chosen one alone; else the project's virtual environment, ``python3`` on PATH, and the one Maestro runs on.
    """
    if chosen:
        return [str(workspace / chosen) if "/" in chosen else chosen]
    projects = [str(root / name) for root in (folder, workspace) for name in _VIRTUAL if (root / name).exists()]
    found = which("python3")
    return list(dict.fromkeys([*projects, *([found] if found else []), sys.executable]))


def interpreter_requirement(
    chosen: str | None, folder: Path, workspace: Path, which: Callable[[str], str | None]
) -> Requirement:
    """The first candidate as a tool to be there."""
    first = candidates(chosen, folder, workspace, which)[0]
    # As a name when it is what PATH finds: the plan then reads `python3`, not a path.
    tool = "python3" if first == which("python3") else first
    return Requirement(tool, "install Python: apt install python3, or name one with 'python'")


def interpreter_with(context: StepContext, module: str, chosen: str | None, folder: Path, package: str) -> str:
    """The first candidate that can run ``python -m <module>``.

    Args:
        context: of the step.
        module: what it must be able to run.
        chosen: the interpreter the step names, if any.
        folder: the project's folder.
        package: what pip installs to get the module.

    Raises:
        InputError: no candidate can.
    """
    tried = candidates(chosen, folder, context.workspace, context.which)
    for python in tried:
        if context.which(python) is None:
            continue
        # In the scratch folder: a file of the project must not pass for the module.
        probe = [python, "-c", _PROBE, module]
        if context.run_process(probe, cwd=context.scratch).exit_code == 0:
            return python
    raise InputError(
        f"no Python interpreter has '{module}'; tried: {', '.join(tried)}",
        next_step=f"install it: {tried[0]} -m pip install {package}, or name an interpreter that has it with 'python'",
    )
