"""Keeps the ``models.yaml`` of projects' default branches where the OpenAI-compatible endpoint finds them."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from maestro.errors import InputError, MaestroError
from maestro.llm.opening import MODELS_FILE
from maestro.llm.project_files import ProjectFile, ProjectFiles
from maestro.server.leases import Held
from maestro_defs.server import Server

EVERY_SECONDS = 60.0
"""A push that no webhook tells of is seen after so long."""
_ORIGINS_AT_ONCE = 4
_log = logging.getLogger("maestro.models")


class ModelFiles:
    """Of one conductor's term. Only projects somebody asks for by a token are looked at.

    Args:
        held: the conductor's lease; without it nothing is kept.
    """

    def __init__(self, server: Server, held: Held) -> None:
        self._server = server
        self._held = held
        self._files = ProjectFiles(server.engine)
        self._pool = ThreadPoolExecutor(_ORIGINS_AT_ONCE, thread_name_prefix="models")
        self._lock = threading.Lock()
        self._soon: set[str] = set()
        self._busy: set[str] = set()
        self._wake = threading.Event()

    def soon(self, project: str) -> None:
        """Its default branch may have moved: it is looked at now, where somebody asks for it at all."""
        with self._lock:
            self._soon.add(project)
        self._wake.set()

    def wait(self, seconds: float) -> None:
        """Returns after so long, or when something may have moved."""
        self._wake.wait(seconds)
        self._wake.clear()

    def look(self) -> int:
        """Begins to look at what is due; how many projects that is. One origin that hangs keeps no other waiting.

        Raises:
            MaestroError: the database does not answer.
        """
        with self._lock:
            soon, self._soon = self._soon, set()
        due = [
            one for one in self._files.wanted() if one.project in soon or one.tried is None or one.tried > EVERY_SECONDS
        ]
        begun = 0
        for one in due:
            with self._lock:
                if one.project in self._busy:
                    # What is being looked up may be older than what just happened.
                    self._soon |= soon & {one.project}
                    continue
                self._busy.add(one.project)
            self._pool.submit(self._look_at, one)
            begun += 1
        return begun

    def close(self) -> None:
        """Nothing more is begun; what hangs is left to itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look_at(self, known: ProjectFile) -> None:
        name = known.project
        try:
            self._keep(known)
        except MaestroError as error:
            _log.warning("the models.yaml of %s cannot be looked at: %s", name, error)
            self._failed(name, error.what)
        except Exception:  # noqa: BLE001 - a defect here must not look as if all were well
            _log.exception("the models.yaml of %s cannot be looked at", name)
            self._failed(name, "a defect, which the conductor's log shows")
        finally:
            with self._lock:
                self._busy.discard(name)

    def _keep(self, known: ProjectFile) -> None:
        project = self._server.projects.find(known.project)
        if project is None:
            self._files.forget(known.project)
            return
        sha = self._server.default_revision(project)
        if sha == known.revision:
            self._held.require()
            self._files.confirm(project.name, sha)
            return
        content, problem = None, ""
        try:
            content = self._server.mirror(project).read(sha, MODELS_FILE)
        except InputError as error:
            # A folder, a link out of the repository: runs of this commit cannot use it either.
            problem = error.what
        self._held.require()
        self._files.keep(project.name, sha, content, problem)
        _log.info("%s is under the models.yaml of %s", project.name, sha[:12])

    def _failed(self, name: str, trouble: str) -> None:
        try:
            self._files.fail(name, trouble)
        except MaestroError as error:
            _log.warning("%s", error.what)
