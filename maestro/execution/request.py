"""Which run it is, and what was asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LOCAL_TENANT = "local"
"""Whom runs are charged to where there is no server."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Which run this is.

    Args:
        run_id: Dagster's id of it.
        root_run_id: of the run it resumes, through any number of resumptions; its own when it resumes none.
        earlier: ids of the runs it resumes, the nearest first.
        tenant, pull_request: what it is charged to, besides the project; actor: who asked for it.
    """

    run_id: str
    root_run_id: str
    earlier: tuple[str, ...] = ()
    tenant: str = LOCAL_TENANT
    pull_request: int | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the steps of an untrusted run get at most.

    Args:
        network: whether their sandboxes have the network where a step asks for it.
        seconds: how long a step may take, whatever its own timeout says.
    """

    network: bool = False
    seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was asked for.

    Args:
        params: every parameter's value.
        base: what ``changed()`` compares with, when it was given.
        planned: the planner chose the steps, so plan-time conditions are not asked again.
        redo: steps with effects to do again although nobody knows whether the effect happened.
        assume_done: steps with effects a person vouches for.
        cached: steps whose results the planner found in the cache.
        untrusted: somebody without write access made the revision: no secrets, everything sandboxed, no effects,
            nothing signed, and nothing kept where a trusted run would find it.
        bounds: of an untrusted run.
    """

    params: Mapping[str, Any]
    base: str | None = None
    planned: bool = False
    redo: frozenset[str] = frozenset()
    assume_done: frozenset[str] = frozenset()
    cached: frozenset[str] = frozenset()
    untrusted: bool = False
    bounds: Bounds = Bounds()
