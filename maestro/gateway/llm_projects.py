"""Under which catalogue a token's calls are made on a server: the server's, with what the token's project restricts.

A step is under the ``models.yaml`` of its revision; a token under that of its project's default branch, which the
conductor keeps in the database. Where that is not known, too old or wrong, nothing is asked.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import InputError, Location, MaestroError
from maestro.gateway.llm_failure import NEVER_AGAIN, LlmError, sentence
from maestro.inbox.liveness import lively
from maestro.llm.catalogue import Catalogue, Given, load_catalogue
from maestro.llm.endpoint_tokens import Token
from maestro.llm.opening import MODELS_FILE
from maestro.llm.project_files import ProjectFile, ProjectFiles
from maestro.notation.yaml_reader import MAX_BYTES
from maestro.server.database import first_line, open_engine
from maestro.server.projects import Projects

if TYPE_CHECKING:
    from maestro.server.home import ServerHome

FRESH_SECONDS = 2.0
"""The database is asked again after so long; in between a call looks into a dictionary."""
MOST_AGE = 3600.0
"""Seconds for which a file counts that nobody could compare with the default branch since."""
ASK_AGAIN_SECONDS = 3600.0
PATIENCE = 8.0
"""Seconds the first call of a project waits for the conductor to read its file."""
_LOOK_SECONDS = 0.1
_UNKNOWN = "restrictions_unknown"


@dataclass(frozen=True, slots=True)
class _Known:
    """What the calls of a project are told until ``until`` (monotonic)."""

    until: float
    catalogue: Catalogue | None
    error: LlmError | None = None


class ProjectCatalogues:
    """The catalogues of a server's projects; for one event loop.

    Args:
        patience: seconds a call waits for a file nobody has read yet.
        fresh: seconds after which the database is asked again.
    """

    def __init__(self, home: ServerHome, *, patience: float = PATIENCE, fresh: float = FRESH_SECONDS) -> None:
        self._home = home
        self._fresh = fresh
        self._patience = patience
        self._server: Given | None = None
        self._base: Catalogue | None = None
        self._known: dict[tuple[str, str], _Known] = {}
        self._turns: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._made: dict[str, tuple[str, Catalogue | LlmError]] = {}
        self._waited: dict[str, float] = {}
        self._opening = threading.Lock()
        self._engine: sa.Engine | None = None
        self._tables: tuple[Projects, ProjectFiles] | None = None

    def base(self) -> Catalogue:
        """The server's own, for its gateway. What the file says now holds for all projects as long as this does.

        Raises:
            InputError: it is wrong, or cannot be read.
        """
        path = self._home.folder / MODELS_FILE
        try:
            with path.open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise InputError(
                f"the catalogue of models cannot be read: {error.strerror or type(error).__name__}",
                where=Location(str(path)),
                next_step="check the file and its permissions",
            ) from None
        given = Given(str(path), content)
        self._base = load_catalogue(server=given)
        self._server = given
        return self._base

    async def of(self, token: Token) -> Catalogue:
        """The catalogue for a call with this token; ``base`` was called before.

        Raises:
            LlmError: 403: the server does not deliver its project; 503: what the project restricts is not known.
        """
        key = (token.tenant, token.project)
        known = self._known.get(key)
        if known is None or time.monotonic() >= known.until:
            async with self._turns[key]:
                known = self._known.get(key)
                if known is None or time.monotonic() >= known.until:
                    known = self._known[key] = await self._looked(token)
        if known.catalogue is None:
            # Told to many; the frames of one must not be kept for the next.
            raise known.error.with_traceback(None) if known.error else AssertionError("neither catalogue nor error")
        return known.catalogue

    def close(self) -> None:
        """Ends its connections."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
            self._engine = self._tables = None

    async def _looked(self, token: Token) -> _Known:
        catalogue, error = None, None
        try:
            catalogue = await self._look(token)
        except LlmError as raised:
            error = raised
        except (MaestroError, SQLAlchemyError) as raised:
            told = sentence(raised) if isinstance(raised, MaestroError) else first_line(raised)
            error = LlmError(503, told, "server_error", "unavailable", headers={"retry-after": "5"})
        return _Known(time.monotonic() + self._fresh, catalogue, error)

    async def _look(self, token: Token) -> Catalogue:
        name = token.project
        began = time.monotonic()
        # Once, and not again for each of many calls while no conductor is there.
        patience = self._patience if began - self._waited.get(name, -60.0) >= 60.0 else 0.0
        while True:
            tenant, file = await asyncio.to_thread(self._read, name)
            if tenant != token.tenant:
                raise LlmError(
                    403,
                    f"this server delivers no project '{token.tenant}/{name}' any more, so its tokens do not count",
                    "permission_error",
                    "unknown_project",
                )
            if _is_known(file) or time.monotonic() - began >= patience:
                break
            self._waited[name] = time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
        return await asyncio.to_thread(self._combined, _usable(name, file))

    def _read(self, name: str) -> tuple[str | None, ProjectFile | None]:
        """The project's tenant, and its file; has the conductor keep that current."""
        with self._opening:
            if self._tables is None:
                self._engine = self._engine or open_engine(lively(self._home.database_url))
                self._tables = Projects(self._engine), ProjectFiles(self._engine)
            projects, files = self._tables
        registered = projects.find(name)
        if registered is None:
            return None, None
        file = files.get(name)
        if file is None or file.asked > ASK_AGAIN_SECONDS:
            files.ask(name)
        return registered.tenant, file

    def _combined(self, file: ProjectFile) -> Catalogue:
        if self._base is None or self._server is None:
            raise AssertionError("the server's own catalogue comes first")
        if file.content is None:
            return self._base
        made = self._made.get(file.project)
        if made is None or made[0] != file.revision:
            given = Given(f"{file.project}@{file.revision[:12]}/{MODELS_FILE}", file.content)
            try:
                made = (file.revision, load_catalogue((given,), server=self._server))
            except InputError as error:
                made = (file.revision, _unknown(f"{error.where}: {error.what}", again=False))
            self._made[file.project] = made
        if isinstance(made[1], LlmError):
            raise made[1].with_traceback(None)
        return made[1]


def _is_known(file: ProjectFile | None) -> bool:
    return file is not None and file.age is not None and file.age <= MOST_AGE


def _usable(name: str, file: ProjectFile | None) -> ProjectFile:
    """The file, when it counts.

    Raises:
        LlmError: it does not.
    """
    trouble = f": {file.trouble}" if file is not None and file.trouble else "; the server's conductor does that"
    if file is None or file.age is None:
        raise _unknown(f"the {MODELS_FILE} of project '{name}' has not been read yet{trouble}")
    if file.age > MOST_AGE:
        raise _unknown(f"{_told(file)} was last compared with its branch {file.age / 60:.0f} minutes ago{trouble}")
    if file.problem:
        raise _unknown(f"{_told(file)} cannot be used: {file.problem}", again=False)
    return file


def _told(file: ProjectFile) -> str:
    return f"the {MODELS_FILE} of project '{file.project}' at {file.revision[:12]}"


def _unknown(what: str, *, again: bool = True) -> LlmError:
    headers = {"retry-after": "5"} if again else NEVER_AGAIN
    message = f"nothing is asked while it is not known what the project restricts: {what}"
    return LlmError(503, message, "server_error", _UNKNOWN, headers=headers)
