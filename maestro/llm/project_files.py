"""The ``models.yaml`` of a server's projects, as their default branches have them, for who has no repository at hand.

The conductor reads them from the mirrors and keeps them here, in the server's database; the OpenAI-compatible endpoint,
which may be on another machine and has no credentials for repositories, finds them here. Only projects somebody asked
for lately are kept current. Times are the database's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import MaestroError
from maestro.notation.yaml_reader import MAX_BYTES
from maestro.server.database import database_now, first_line, make_tables, reading

ASKED_SECONDS = 7 * 86400.0
"""A project nobody has asked for in so long is not looked at any more."""
_METADATA = sa.MetaData()
_FILES = sa.Table(
    "maestro_llm_project_files",
    _METADATA,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("asked", sa.Double, nullable=False, comment="when somebody asked for it; not written each time"),
    sa.Column("tried", sa.Double, comment="when the origin was asked last"),
    sa.Column("confirmed", sa.Double, comment="when the default branch was last known to stand at this revision"),
    sa.Column("revision", sa.Text, nullable=False, server_default=""),
    sa.Column("content", sa.LargeBinary, comment="null: the revision has no such file"),
    sa.Column("problem", sa.Text, nullable=False, server_default="", comment="why this revision's cannot be used"),
    sa.Column("trouble", sa.Text, nullable=False, server_default="", comment="why it could not be looked at lately"),
)
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """What is known of a project's ``models.yaml``.

    Args:
        revision: commit the default branch stands at; empty: nobody has looked yet.
        content: None: that commit has no such file.
        problem: why it cannot be used at that commit; empty where it can be read.
        trouble: why the last look failed; empty when it did not.
        age: seconds since the default branch was last known to stand there; None: it never was.
        tried: seconds since the last look; None: there was none.
        asked: seconds since somebody asked for it, roughly.
    """

    project: str
    revision: str
    content: bytes | None
    problem: str
    trouble: str
    age: float | None
    tried: float | None
    asked: float


class ProjectFiles:
    """The table; for threads and processes.

    Args:
        engine: of the server's database.

    Raises:
        MaestroError: the database does not answer. So does every method.
    """

    def __init__(self, engine: sa.Engine) -> None:
        make_tables(engine, _METADATA)
        self._engine = engine
        self._reads = reading(engine)

    def get(self, project: str) -> ProjectFile | None:
        """What is known of it; None: nobody has asked for it yet."""
        return next(iter(self._select(_FILES.c.project == project)), None)

    def wanted(self) -> list[ProjectFile]:
        """Those somebody asked for lately, by name."""
        return [one for one in self._select(sa.true()) if one.asked < ASKED_SECONDS]

    def ask(self, project: str) -> None:
        """Has it kept current for a week."""
        self._put(project, {})

    def keep(self, project: str, revision: str, content: bytes | None, problem: str = "") -> None:
        """The default branch stands at this commit.

        Args:
            content: None: it has no such file. Beyond what a file may have, the rest is left out.
            problem: why the file cannot be used, where it can not even be read.
        """
        kept = None if content is None else content[: MAX_BYTES + 1]
        values = {"revision": revision, "content": kept, "problem": problem[:_LONGEST], "trouble": ""}
        self._put(project, values, "tried", "confirmed")

    def confirm(self, project: str, revision: str) -> None:
        """The default branch still stands at this commit, unless somebody has found out something newer meanwhile."""
        try:
            with self._engine.begin() as connection:
                clock = database_now(connection)
                there = _FILES.update().where(_FILES.c.project == project, _FILES.c.revision == revision)
                connection.execute(there.values(tried=clock, confirmed=clock, trouble=""))
        except SQLAlchemyError as error:
            raise _away(error) from error

    def fail(self, project: str, trouble: str) -> None:
        """The origin could not be asked: what is known gets older."""
        self._put(project, {"trouble": trouble[:_LONGEST]}, "tried")

    def forget(self, project: str) -> None:
        """There is no such project any more."""
        try:
            with self._engine.begin() as connection:
                connection.execute(_FILES.delete().where(_FILES.c.project == project))
        except SQLAlchemyError as error:
            raise _away(error) from error

    def _put(self, project: str, values: Mapping[str, object], *now: str) -> None:
        try:
            with self._engine.begin() as connection:
                clock = database_now(connection)
                # Who looks does not ask: else nothing would ever be forgotten.
                changed = {**values, **dict.fromkeys(now or ("asked",), clock)}
                insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
                row = {"project": project, "asked": clock, **changed}
                connection.execute(
                    insert(_FILES).values(row).on_conflict_do_update(index_elements=["project"], set_=changed)
                )
        except SQLAlchemyError as error:
            raise _away(error) from error

    def _select(self, condition: sa.ColumnElement[bool]) -> list[ProjectFile]:
        try:
            with self._reads.begin() as connection:
                clock = database_now(connection)
                query = sa.select(
                    _FILES.c.project,
                    _FILES.c.revision,
                    _FILES.c.content,
                    _FILES.c.problem,
                    _FILES.c.trouble,
                    (clock - _FILES.c.confirmed).label("age"),
                    (clock - _FILES.c.tried).label("tried"),
                    (clock - _FILES.c.asked).label("asked"),
                )
                rows = connection.execute(query.where(condition).order_by(_FILES.c.project)).mappings()
                return [ProjectFile(**row) for row in rows]
        except SQLAlchemyError as error:
            raise _away(error) from error


def _away(error: SQLAlchemyError) -> MaestroError:
    return MaestroError(
        f"the models.yaml of projects cannot be looked up: {first_line(error)}",
        next_step="check that the server's database runs",
    )
