"""Imports Dagster without what a run, or reading of runs, never uses.

A tenth of a run in which nothing has changed went into two imports: Dagster's SQL storages import alembic, needed only
when tables are made or migrated, and its run storage imports one small module of the daemon's package, whose
``__init__`` imports the whole daemon. Within ``lean_imports`` stand-ins take their places; what they stand for is
imported as soon as it is used. A process in which Dagster or alembic is there already is left as it is.

Private seams used, pinned by tests/integration/test_dagster_seams.py: the names ``dagster._core.storage.sql`` imports
from alembic, all of them called, never looked into while importing; ``dagster._daemon.types``, which needs nothing
else of its package.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
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
    begun = any(name.split(".")[0] in ("dagster", "alembic") for name in list(sys.modules))
    found = None if begun else importlib.util.find_spec("dagster")
    if found is None or found.origin is None:
        yield
        return
    stand_ins = {name: _StandIn(name) for name in ALEMBIC}
    sys.modules.update(stand_ins)
    sys.modules[DAEMON] = daemon = _Package(Path(found.origin).parent / "_daemon")
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        if "dagster" in sys.modules:
            setattr(sys.modules["dagster"], "_daemon", daemon)  # noqa: B010 - as an import does
        else:
            del sys.modules[DAEMON]


class _Package(ModuleType):
    """The daemon's package, whose ``__init__`` is executed when something in it is asked for, not of its modules."""

    def __init__(self, folder: Path) -> None:
        super().__init__(DAEMON)
        file = folder / "__init__.py"
        spec = importlib.util.spec_from_file_location(DAEMON, file, submodule_search_locations=[str(folder)])
        assert spec is not None
        self.__spec__, self.__loader__ = spec, spec.loader
        self.__file__, self.__path__, self.__package__ = str(file), [str(folder)], DAEMON
        self._lock = threading.RLock()
        self._begun = False

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            with self._lock:
                if not self._begun:
                    self._execute()
                if name in self.__dict__:
                    return self.__dict__[name]
        raise AttributeError(f"module {DAEMON!r} has no attribute {name!r}", name=name, obj=self)

    def _execute(self) -> None:
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self._begun = True
        try:
            self.__spec__.loader.exec_module(self)
        except BaseException:
            self._begun = False
            raise


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
