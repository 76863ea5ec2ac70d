"""Imports Dagster without what a run, or reading of runs, never uses.

Two of Dagster's imports bring half as much again as Dagster itself: its SQL storages import alembic, needed only when
tables are made or migrated, and its run storage imports one small module of the daemon's package, whose ``__init__``
imports the whole daemon. Within ``lean_imports`` stand-ins take their places; what they stand for is imported as soon
as it is used. A process in which Dagster or alembic is there already is left as it is.

Private seams used, pinned by tests/integration/test_dagster_seams.py: the names ``dagster._core.storage.sql`` imports
from alembic, all of them called, never looked into while importing; ``dagster._daemon.types``, which needs nothing
else of its package.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

ALEMBIC = (
    "alembic",
    "alembic.command",
    "alembic.config",
    "alembic.runtime",
    "alembic.runtime.environment",
    "alembic.runtime.migration",
    "alembic.script",
)
DAEMON = "dagster._daemon"


@contextmanager
def lean_imports() -> Iterator[None]:
    """Dagster imported for the first time within the block comes without alembic and its daemon."""
    # An unfinished import of another thread counts as well: nothing is put in its way.
    begun = any(name == "dagster" or name.split(".")[0] == "alembic" for name in list(sys.modules))
    found = None if begun else importlib.util.find_spec("dagster")
    if found is None or found.origin is None:
        yield
        return
    stand_ins = {name: _StandIn(name) for name in ALEMBIC}
    daemon = ModuleType(DAEMON)
    daemon.__path__ = [str(Path(found.origin).parent / "_daemon")]
    placed: dict[str, ModuleType] = {**stand_ins, DAEMON: daemon}
    sys.modules.update(placed)
    try:
        yield
        if "dagster" in sys.modules:
            importlib.import_module(f"{DAEMON}.types")  # What the run storage wants, while the package is not looked at.
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _StandIn(ModuleType):
    """In place of a module whose names are imported, but not yet used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Later(self.__name__, name)


class _Later:
    """A function or class that is imported when it is called or looked into."""

    def __init__(self, module: str, name: str) -> None:
        self._place = (module, name)

    def _real(self) -> Any:
        module, name = self._place
        return getattr(importlib.import_module(module), name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._real()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)
