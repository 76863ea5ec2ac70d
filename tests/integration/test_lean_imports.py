"""Dagster imported lean is Dagster: what was left out is there as soon as somebody wants it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

START = """
import sys
from pathlib import Path
from maestro_defs.lean_imports import lean_imports
"""


def said_by(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", START + program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_neither_alembic_nor_the_daemon_is_imported_nor_what_stands_for_them_left_behind() -> None:
    program = """
with lean_imports():
    import maestro_defs.local
    import dagster._core.storage.runs.sqlite, dagster._core.storage.schedules.sqlite
heads = {name.split(".")[0] for name in sys.modules}
print(sorted(heads & {"alembic", "mako", "structlog", "rich"}))
print(sorted(name for name in sys.modules if name.startswith("dagster._daemon")))
"""
    assert said_by(program).splitlines() == ["[]", "['dagster._daemon', 'dagster._daemon.types']"]


def test_both_are_there_afterwards_and_are_the_real_ones() -> None:
    program = """
with lean_imports():
    import maestro_defs.local
import alembic.command
import dagster._daemon
import dagster._daemon.controller
from dagster._core.storage.runs.base import DaemonHeartbeat
from dagster._core.storage.sql import upgrade
print(callable(alembic.command.upgrade), Path(alembic.__file__).name, Path(dagster._daemon.__file__).name)
print(dagster._daemon.DaemonHeartbeat is DaemonHeartbeat, dagster._daemon.types.DaemonHeartbeat is DaemonHeartbeat)
print(upgrade.__doc__ == alembic.command.upgrade.__doc__ or upgrade._real() is alembic.command.upgrade)
"""
    assert said_by(program).splitlines() == ["True __init__.py __init__.py", "True True", "True"]


def test_tables_are_made_by_alembic_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    program = """
with lean_imports():
    import dagster
with dagster.DagsterInstance.from_config(sys.argv[1]) as instance:
    print(instance.run_storage.alembic_version()[0] == instance.run_storage.alembic_version()[1] != None)
    instance.add_dynamic_partitions("revisions", ["r1"])
    print(instance.get_dynamic_partitions("revisions"), instance.get_daemon_heartbeats())
"""
    assert said_by(program, str(tmp_path)).splitlines() == ["True", "['r1'] {}"]


def test_a_process_that_has_dagster_is_left_as_it_is() -> None:
    program = """
import dagster
with lean_imports():
    import alembic.command
    import dagster._daemon
print(Path(alembic.__file__).name, hasattr(dagster._daemon, "DagsterDaemonController"))
"""
    assert said_by(program) == "__init__.py True"


def test_an_import_that_fails_leaves_nothing_behind() -> None:
    program = """
try:
    with lean_imports():
        import dagster_that_is_not_there
except ImportError as error:
    print(error.name, [name for name in sys.modules if name.startswith(("alembic", "dagster"))])
import alembic.command
print(Path(alembic.__file__).name)
"""
    assert said_by(program).splitlines() == ["dagster_that_is_not_there []", "__init__.py"]
