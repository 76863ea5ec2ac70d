"""Opens the Dagster instance of a project: its state under ``.maestro/dagster``, its storage as the profile says.

Opening a SQLite instance asks alembic three times over whether the tables are current, and so does the first write to
each run's own database; each time costs hundreds of milliseconds, most of it spent loading migrations that have been
applied. A stamp beside the databases says which Dagster made them; while it matches, the question is not asked, and a
run's database starts as a copy of an empty one.

Private seams used, pinned by tests/integration/test_dagster_seams.py: ``check_alembic_revision`` and
``get_alembic_config`` as imported by the three SQLite storages; ``SqliteEventLogStorage._initialized_dbs``.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage

from maestro.errors import MaestroError
from maestro.profile import Profile
from maestro.project import Project

_STORAGES = (
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
)


def dagster_home(project: Project, profile: Profile) -> Path:
    """The project's ``DAGSTER_HOME``, with the profile's ``dagster.yaml`` in it."""
    home = project.ensure_home() / "dagster"
    home.mkdir(exist_ok=True)
    return prepare_home(home, profile)


def prepare_home(home: Path, profile: Profile) -> Path:
    """``home``, with the profile's ``dagster.yaml`` in it."""
    target = home / "dagster.yaml"
    wanted = profile.dagster_yaml.read_bytes()
    if not target.exists() or target.read_bytes() != wanted:
        temporary = home / f".dagster.yaml.{os.getpid()}-{threading.get_ident()}"
        temporary.write_bytes(wanted)
        temporary.replace(target)
    return home


@contextmanager
def open_instance(project: Project, profile: Profile) -> Iterator[DagsterInstance]:
    """The project's Dagster instance.

    Raises:
        MaestroError: its storage does not answer or cannot be used.
    """
    with open_home(dagster_home(project, profile), profile) as instance:
        yield instance


@contextmanager
def open_home(home: Path, profile: Profile) -> Iterator[DagsterInstance]:
    """The Dagster instance of a ``DAGSTER_HOME`` that was prepared.

    Raises:
        MaestroError: its storage does not answer or cannot be used.
    """
    stamp = _Stamp(home)
    with ExitStack() as stack:
        try:
            with stamp.trusted():
                instance = stack.enter_context(DagsterInstance.from_ref(prepared_ref(home)))
        except Exception as error:
            raise MaestroError(
                f"Dagster's storage cannot be opened (profile '{profile.name}'): {_first_line(error)}",
                next_step=f"check {home / 'dagster.yaml'} and what it connects to, then `maestro doctor`",
            ) from error
        stamp.write(instance)
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=3600, max_overflow=20)
        yield instance


def prepared_ref(home: Path) -> InstanceRef:
    """What an instance is opened from: its configuration read and checked, nothing opened. Once a process, and its
    forks, as long as the file stays the same."""
    return _prepared_ref(str(home), (home / "dagster.yaml").read_bytes())


@lru_cache(maxsize=4)
def _prepared_ref(home: str, _content: bytes) -> InstanceRef:
    return InstanceRef.from_dir(home)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


class _Stamp:
    """Says which version of Dagster made the SQLite files of an instance."""

    def __init__(self, home: Path) -> None:
        self._file = home / "schema"
        self._current = self._file.is_file() and self._file.read_text(encoding="utf-8") == dagster.__version__

    @contextmanager
    def trusted(self) -> Iterator[None]:
        """While the stamp matches, tables are taken to be current."""
        with ExitStack() as stack:
            if self._current:
                current = ("stamped", "stamped")
                for name in _STORAGES:
                    module: Any = importlib.import_module(name)
                    for part in ("check_alembic_revision", "get_alembic_config"):
                        stack.callback(setattr, module, part, getattr(module, part))
                    module.check_alembic_revision = lambda _config, _connection: current
                    module.get_alembic_config = lambda *_: None  # Only for the question; making it imports alembic.
            yield

    def write(self, instance: DagsterInstance) -> None:
        storage = instance.event_log_storage
        if not isinstance(storage, SqliteEventLogStorage):
            return
        if not self._current:
            with storage.index_connection():
                pass
            _make_template(storage, self._template)
            self._file.write_text(dagster.__version__, encoding="utf-8")
        storage._initialized_dbs.add(INDEX_SHARD_NAME)
        _start_shards_from(storage, self._template)

    @property
    def _template(self) -> Path:
        return self._file.with_name("empty-run.db")


def _make_template(storage: SqliteEventLogStorage, template: Path) -> None:
    """An empty run database, made by Dagster itself and folded into one file."""
    shard = "empty-run-template"
    with storage.run_connection(shard):
        pass
    source = Path(storage.path_for_shard(shard))
    connection = sqlite3.connect(source)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    temporary = template.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    shutil.copyfile(source, temporary)
    temporary.replace(template)
    for suffix in ("", "-wal", "-shm"):
        source.with_name(source.name + suffix).unlink(missing_ok=True)
    storage._initialized_dbs.discard(shard)


def _start_shards_from(storage: SqliteEventLogStorage, template: Path) -> None:
    first_connect: Any = storage._connect

    @contextmanager
    def connect(shard: str) -> Iterator[Any]:
        if shard not in storage._initialized_dbs and template.is_file():
            path = Path(storage.path_for_shard(shard))
            if not path.exists():
                temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
                shutil.copyfile(template, temporary)
                try:
                    os.link(temporary, path)  # Fails, and rightly, when another process was quicker.
                except FileExistsError:
                    pass
                finally:
                    temporary.unlink()
            storage._initialized_dbs.add(shard)
        with first_connect(shard) as connection:
            yield connection

    storage.__dict__["_connect"] = connect
