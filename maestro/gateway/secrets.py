"""Which projects there are and which secrets their webhooks are signed with, read again while the gateway runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import MaestroError
from maestro.inbox.liveness import lively
from maestro.server.database import open_engine
from maestro.server.home import ServerHome
from maestro.server.projects import Projects, RegisteredProject
from maestro.server.references import read_reference

LOG = logging.getLogger(__name__)
INTERVAL = 2.0
"""Seconds after which a secret that was taken away counts no more; a new one counts as soon as it is used."""
_SHORTEST = 0.1
_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is known at one time.

    Args:
        complete: False: the database has not answered yet, so there may be more projects.
        common: secrets of webhooks that belong to no single project.
        secrets: of each project, by name.
        unreadable: references that lead to nothing.
    """

    complete: bool = False
    common: tuple[str, ...] = ()
    projects: Mapping[str, RegisteredProject] = field(default_factory=dict)
    by_repository: Mapping[tuple[str, str], RegisteredProject] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()

    def project(self, provider: str, name: str) -> RegisteredProject | None:
        """The project of a name, when this provider sends its events."""
        found = self.projects.get(name)
        return found if found is not None and found.provider == provider else None

    def of_repository(self, provider: str, repository: str) -> RegisteredProject | None:
        """The project that delivers a repository."""
        return self.by_repository.get((provider, repository.lower()))


class HookRegistry:
    """Keeps ``hooks`` current."""

    def __init__(self, home: ServerHome) -> None:
        self._home = home
        self._engine: Engine | None = None
        self._projects: Projects | None = None
        self._wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self.hooks = Hooks()

    async def newer(self) -> None:
        """Waits until ``hooks`` has been read after this call; gives up after a few seconds."""
        read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(read)
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(read, _PATIENCE)

    async def keep_current(self) -> None:
        """Reads everything again and again, at once when somebody waits for it."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), INTERVAL)
            self._wanted.clear()
            waiting, self._waiting = self._waiting, []
            try:
                self.hooks = await asyncio.to_thread(self._read, self.hooks)
            except Exception:
                # Whatever it is, what is known stays and is read again; without that a secret would count for ever.
                LOG.exception("projects and secrets cannot be read")
            for one in waiting:
                if not one.done():
                    one.set_result(None)
            # Forged webhooks must not keep the database busy.
            await asyncio.sleep(_SHORTEST)

    def close(self) -> None:
        """Closes its connections."""
        if self._engine is not None:
            self._engine.dispose()

    def _read(self, before: Hooks) -> Hooks:
        projects, complete = before.projects, before.complete
        try:
            if self._projects is None:
                self._engine = self._engine or open_engine(lively(self._home.database_url))
                self._projects = Projects(self._engine)
            projects, complete = {one.name: one for one in self._projects.all()}, True
        except (MaestroError, SQLAlchemyError) as error:
            # What was known stays true until the database is back.
            LOG.warning("the registry of projects does not answer: %s", type(error).__name__)
        unreadable: set[str] = set()
        made = Hooks(
            complete=complete,
            common=_values(self._home.settings.gateway.secrets, unreadable),
            projects=projects,
            by_repository={(one.provider, one.repository.lower()): one for one in projects.values()},
            secrets={one.name: _values(one.hook_secrets, unreadable) for one in projects.values()},
            unreadable=frozenset(unreadable),
        )
        for reference in sorted(made.unreadable - before.unreadable):
            LOG.error("a webhook secret cannot be read, so nothing is accepted with it: %s", reference)
        return made


def _values(references: Iterable[str], unreadable: set[str]) -> tuple[str, ...]:
    values = []
    for reference in references:
        try:
            values.append(read_reference(reference))
        except (MaestroError, OSError):
            unreadable.add(reference)
    return tuple(values)
