"""The projects a server delivers."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from maestro.errors import InputError
from maestro.server.database import make_tables, reading

Provider = Literal["github", "gitlab", "git"]
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_metadata = sa.MetaData()
_projects = sa.Table(
    "maestro_projects",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("repository", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False),  # JSON of the rest.
    sa.UniqueConstraint("provider", "repository"),
)


@dataclass(frozen=True, slots=True)
class RegisteredProject:
    """One repository a server delivers.

    Args:
        name: also of its code location, and the ``project`` of its workflow.
        url: what git fetches from.
        provider: who sends its events and hears of its results; ``git``: nobody.
        repository: ``owner/name`` as the provider writes it; matched without regard to case.
        default_branch: None: asked of the repository.
        workflow_file: path in the repository.
        hook_secrets: references to secrets its webhooks may be signed with.
        credentials: reference to a token, ``app`` for the server's GitHub App, None for the server's token, or none.
        installation: of the GitHub App; None: asked of GitHub.
        depth: commits of history that are fetched; None: all.
    """

    name: str
    url: str
    tenant: str = "default"
    provider: Provider = "github"
    repository: str = ""
    default_branch: str | None = None
    workflow_file: str = "maestro.yaml"
    hook_secrets: tuple[str, ...] = ()
    credentials: str | None = None
    installation: int | None = None
    depth: int | None = None
    submodules: bool = False
    lfs: bool = False
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


class Projects:
    """The registry, in the server's database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, _metadata)

    def add(self, project: RegisteredProject) -> None:
        """Registers ``project``.

        Raises:
            InputError: its name is no name, or the name or the repository is registered already.
        """
        if not NAME.fullmatch(project.name):
            raise InputError(
                f"'{project.name}' cannot be the name of a project",
                next_step="begin with a letter; then letters, digits, - and _, at most 63 in all",
            )
        project = replace(project, repository=project.repository or project.name)
        with self._engine.begin() as connection:
            for one in _read(connection):
                if one.name == project.name:
                    raise InputError(f"there is a project '{one.name}' already", next_step="choose another --name")
                if (one.provider, one.repository.lower()) == (project.provider, project.repository.lower()):
                    raise InputError(
                        f"{one.repository} is delivered by project '{one.name}' already",
                        next_step=f"maestro projects show {one.name}",
                    )
            connection.execute(_projects.insert().values(**_row(project)))

    def change(self, project: RegisteredProject) -> None:
        """Replaces what is known of the project of that name.

        Raises:
            InputError: there is none.
        """
        with self._engine.begin() as connection:
            done = connection.execute(
                _projects.update().where(_projects.c.name == project.name).values(**_row(project))
            )
            if not done.rowcount:
                raise _unknown(project.name)

    def remove(self, name: str) -> None:
        """Forgets the project; what it has delivered stays.

        Raises:
            InputError: there is none.
        """
        with self._engine.begin() as connection:
            if not connection.execute(_projects.delete().where(_projects.c.name == name)).rowcount:
                raise _unknown(name)

    def get(self, name: str) -> RegisteredProject:
        """The project called ``name``.

        Raises:
            InputError: there is none.
        """
        found = self.find(name)
        if found is None:
            raise _unknown(name)
        return found

    def find(self, name: str) -> RegisteredProject | None:
        """The project called ``name``, if there is one."""
        with reading(self._engine).begin() as connection:
            return next(iter(_read(connection, _projects.c.name == name)), None)

    def by_repository(self, provider: str, repository: str) -> RegisteredProject | None:
        """The project that delivers ``owner/name`` of a provider, if there is one."""
        condition = sa.and_(
            _projects.c.provider == provider, sa.func.lower(_projects.c.repository) == repository.lower()
        )
        with reading(self._engine).begin() as connection:
            return next(iter(_read(connection, condition)), None)

    def all(self) -> list[RegisteredProject]:
        """Every project, by name."""
        with reading(self._engine).begin() as connection:
            return _read(connection)


def _read(connection: sa.Connection, condition: sa.ColumnElement[bool] | None = None) -> list[RegisteredProject]:
    query = sa.select(_projects).order_by(_projects.c.name)
    if condition is not None:
        query = query.where(condition)
    return [_project(row) for row in connection.execute(query).mappings()]


def _row(project: RegisteredProject) -> dict[str, Any]:
    about = asdict(project) | {"created": project.created.isoformat()}
    for name in ("name", "provider", "repository"):
        del about[name]
    return {
        "name": project.name,
        "provider": project.provider,
        "repository": project.repository,
        "about": json.dumps(about, sort_keys=True),
    }


def _project(row: sa.RowMapping) -> RegisteredProject:
    about: dict[str, Any] = json.loads(row["about"])
    known = {one.name for one in fields(RegisteredProject)}
    about = {name: value for name, value in about.items() if name in known}
    about["created"] = datetime.fromisoformat(about["created"])
    about["hook_secrets"] = tuple(about["hook_secrets"])
    return RegisteredProject(name=row["name"], provider=row["provider"], repository=row["repository"], **about)


def _unknown(name: str) -> InputError:
    return InputError(f"there is no project '{name}'", next_step="maestro projects list")
