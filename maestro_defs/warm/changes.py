"""Notices that the code or the settings are not those the warm server was started with."""

from __future__ import annotations

import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

from maestro.server.home import ServerHome
from maestro.server.settings import FILE

Stamps = Mapping[Path, tuple[int, int]]


def stamps(home: ServerHome) -> Stamps:
    """When what matters was last changed, and its size; a few hundred questions to the file system, below 2 ms.

    Of installed packages only their folder is looked at, which every installation changes; of code that is edited in
    place each imported file.
    """
    files = {home.folder / FILE, home.dagster / "dagster.yaml", *map(Path, _installed())}
    return {**{file: stamp_of(file) for file in files}, **stamps_of_edited()}


def stamps_of_edited() -> Stamps:
    """The same for code that is edited in place: every imported file that is not among what is installed."""
    installed = tuple(str(Path(folder).resolve()) for folder in _installed())
    names = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    files = [Path(name) for name in names if name and name.endswith(".py") and not name.startswith(installed)]
    return {file: stamp_of(file) for file in files}


def stamps_of_packages(names: Iterable[str]) -> Stamps:
    """When any file of these packages, imported or not, was last changed, and what is installed and Python itself."""
    files = {Path(sys.executable), *map(Path, _installed())}
    for name in names:
        spec = importlib.util.find_spec(name)
        for folder in spec.submodule_search_locations or () if spec is not None else ():
            for above, folders, found in os.walk(folder):
                folders[:] = [one for one in folders if one != "__pycache__"]
                files.update(Path(above, one) for one in found)
    return {file: stamp_of(file) for file in files}


def changed(before: Stamps) -> list[Path]:
    """Which of them are different now."""
    return [file for file, stamp in before.items() if stamp_of(file) != stamp]


def _installed() -> Iterable[str]:
    paths = sysconfig.get_paths()
    return {*site.getsitepackages(), paths["stdlib"], paths["platstdlib"], paths["purelib"]}


def stamp_of(file: Path) -> tuple[int, int]:
    """When it was last changed, and its size; zeros when it is not there."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
