"""The SQLite files of a Dagster instance: made by one process at a time, and known by a stamp once they are made.

Opening a SQLite instance asks alembic three times over whether the tables are current, and so does the first write to
each run's own database; each time costs hundreds of milliseconds, most of it spent loading migrations that have been
applied. A stamp beside the databases says which Dagster made them; while it matches, the question is not asked, and a
run's database starts as a copy of an empty one.

Private seams used, pinned by tests/integration/test_dagster_seams.py: ``check_alembic_revision`` and
``get_alembic_config`` as imported by the three SQLite storages; ``SqliteEventLogStorage._initialized_dbs``.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import dagster
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage

_STORAGES = (
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
)
_TEMPLATE_SHARD = "empty-run-template"


def open_stamped(home: Path, ref: InstanceRef, stack: ExitStack) -> DagsterInstance:
    """The instance of a ``DAGSTER_HOME``, closed with ``stack``; its SQLite files are made where they are not there.

    Dagster's own files do not survive being made by two processes at once, so all but one wait. Whatever Dagster or the
    driver raises is raised.
    """
    if not _on_sqlite(ref):
        return stack.enter_context(DagsterInstance.from_ref(ref))
    stamp = _Stamp(home)
    if stamp.matches():
        with _no_questions():
            instance = stack.enter_context(DagsterInstance.from_ref(ref))
    else:
        with _alone(home):
            instance = _made(stamp, ref, stack)
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        storage._initialized_dbs.add(INDEX_SHARD_NAME)
        _start_shards_from(storage, stamp.template)
    return instance


def _on_sqlite(ref: InstanceRef) -> bool:
    storage = ref.event_storage_data
    return storage is not None and storage.class_name == SqliteEventLogStorage.__name__


def _made(stamp: _Stamp, ref: InstanceRef, stack: ExitStack) -> DagsterInstance:
    if stamp.matches():
        # Whoever was quicker has made everything.
        with _no_questions():
            return stack.enter_context(DagsterInstance.from_ref(ref))
    instance = stack.enter_context(DagsterInstance.from_ref(ref))
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        with storage.index_connection():
            pass
        _make_template(storage, stamp.template)
        stamp.write()
    return instance


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One process and thread of this machine at a time; the kernel lets go for one that died."""
    descriptor = os.open(home / ".making", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Not by closing alone: a process that was forked meanwhile has the descriptor too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


@contextmanager
def _no_questions() -> Iterator[None]:
    """In here tables are taken to be current."""
    current = ("stamped", "stamped")
    with ExitStack() as stack:
        for name in _STORAGES:
            module: Any = importlib.import_module(name)
            for part in ("check_alembic_revision", "get_alembic_config"):
                stack.callback(setattr, module, part, getattr(module, part))
            module.check_alembic_revision = lambda _config, _connection: current
            module.get_alembic_config = lambda *_: None  # Only for the question; making it imports alembic.
        yield


class _Stamp:
    """Says which version of Dagster made the SQLite files of an instance."""

    def __init__(self, home: Path) -> None:
        self._file = home / "schema"
        self.template = home / "empty-run.db"

    def matches(self) -> bool:
        """Whether this Dagster made them, and the template is one."""
        try:
            written = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return False
        return written == dagster.__version__ and _is_template(self.template)

    def write(self) -> None:
        temporary = _beside(self._file)
        temporary.write_text(dagster.__version__, encoding="utf-8")
        temporary.replace(self._file)


def _beside(file: Path) -> Path:
    return file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}")


def _is_template(file: Path) -> bool:
    """Whether it is a run database with its tables and no runs; a fraction of a millisecond."""
    # Immutable: nobody writes to it, and it must not get a log of its own beside it.
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            (events,) = connection.execute("SELECT count(*) FROM event_logs").fetchone()
            (revisions,) = connection.execute("SELECT count(*) FROM alembic_version").fetchone()
    except sqlite3.Error:
        return False
    return bool(events == 0 and revisions == 1)


def _make_template(storage: SqliteEventLogStorage, template: Path) -> None:
    """An empty run database, made by Dagster itself, folded into one file and looked at before it counts."""
    shard = f"{_TEMPLATE_SHARD}-{os.getpid()}-{threading.get_ident()}"
    source = Path(storage.path_for_shard(shard))
    # One whose maker was killed would be taken for the database of a run.
    for left in source.parent.glob(f"{_TEMPLATE_SHARD}*"):
        left.unlink(missing_ok=True)
    try:
        with storage.run_connection(shard):
            pass
        with closing(sqlite3.connect(source)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        temporary = _beside(template)
        shutil.copyfile(source, temporary)
        if not _is_template(temporary):
            temporary.unlink()
            raise sqlite3.DatabaseError("Dagster made a run database without its tables")
        temporary.replace(template)
    finally:
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
                temporary = _beside(path)
                shutil.copyfile(template, temporary)
                try:
                    os.link(temporary, path)  # Fails, and rightly, when another process was quicker.
                except FileExistsError:
                    pass
                finally:
                    temporary.unlink()
            # An empty file is no run database yet: Dagster makes its tables.
            if path.stat().st_size:
                storage._initialized_dbs.add(shard)
        with first_connect(shard) as connection:
            yield connection

    storage.__dict__["_connect"] = connect
