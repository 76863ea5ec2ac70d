"""What admission decides about, and what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from maestro.errors import InputError

Group = tuple[str, str, str]
"""Project, scope, name: runs of one group are carried out one at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """A run that occupies a place: it is starting, running or being cancelled.

    Args:
        position: its place in the order in which runs were asked for; unique.
        tenant: "" for none.
        group: name of its concurrency group within the project; None for none.
        scope: runs of one project with different scopes never share a group, whatever its name. What a pull request
            from a fork runs has a scope of its own, since its author chooses the branch name the group is made from.
        cancel_superseded: it replaces the older runs of its group.
        revision: for people.
        cancelling: it has been asked to stop and has not ended yet.
    """

    run_id: str
    position: int
    project: str
    tenant: str = ""
    group: str | None = None
    scope: str = ""
    cancel_superseded: bool = False
    revision: str = ""
    cancelling: bool = False

    @property
    def in_group(self) -> Group | None:
        """Its group, unlike any other project's; None when it has none."""
        return None if self.group is None else (self.project, self.scope, self.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A queued run.

    Args:
        priority: the higher is started first.
        held: why it must not start yet whatever is free, as a sentence for people ("waits until …"); None: it may.

        The others are those of ``Active``.
    """

    run_id: str
    position: int
    project: str
    tenant: str = ""
    group: str | None = None
    scope: str = ""
    cancel_superseded: bool = False
    revision: str = ""
    priority: int = 0
    held: str | None = None

    @property
    def in_group(self) -> Group | None:
        """Its group, unlike any other project's; None when it has none."""
        return None if self.group is None else (self.project, self.scope, self.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many runs may be active at once; None: no limit, 0: none are started.

    Args:
        runs: on the whole server.
        projects, tenants: limits of single ones by name, instead of ``per_project`` and ``per_tenant``.

    Raises:
        InputError: a limit is negative.
    """

    runs: int | None = None
    per_project: int | None = None
    per_tenant: int | None = None
    projects: Mapping[str, int | None] = field(default_factory=lambda: MappingProxyType({}))
    tenants: Mapping[str, int | None] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        named = {"runs": self.runs, "per_project": self.per_project, "per_tenant": self.per_tenant}
        named |= {f"projects.{name}": limit for name, limit in self.projects.items()}
        named |= {f"tenants.{name}": limit for name, limit in self.tenants.items()}
        for name, limit in named.items():
            if limit is not None and limit < 0:
                raise InputError(f"limits.{name} is {limit}", next_step="give a number of runs from 0 on, or none")

    def of_project(self, name: str) -> int | None:
        """Runs the project may have at once."""
        return self.projects.get(name, self.per_project)

    def of_tenant(self, name: str) -> int | None:
        """Runs the tenant may have at once; runs without a tenant share only the other limits."""
        return self.tenants.get(name, self.per_tenant) if name else None


@dataclass(frozen=True, slots=True)
class Admission:
    """What is to be done; every queued run is in exactly one of the three.

    Args:
        launch: ids of the runs that start now, in this order.
        cancel: ids of the runs that are superseded, queued and active ones, each with the reason for people.
        blocked: id of each run that waits -> for what, as a sentence for people.
    """

    launch: tuple[str, ...] = ()
    cancel: tuple[tuple[str, str], ...] = ()
    blocked: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
