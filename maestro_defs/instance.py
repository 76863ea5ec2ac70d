"""Opens the Dagster instance of a project: its state under ``.maestro/dagster``, its storage as the profile says."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef

from maestro.errors import MaestroError
from maestro.profile import Profile
from maestro.project import Project
from maestro_defs.stamp import open_stamped


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
    with ExitStack() as stack:
        try:
            instance = open_stamped(home, prepared_ref(home), stack)
        except Exception as error:
            raise MaestroError(
                f"Dagster's storage cannot be opened (profile '{profile.name}'): {_first_line(error)}",
                next_step=f"check {home / 'dagster.yaml'} and what it connects to, then `maestro doctor`",
            ) from error
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
