"""Where on the server a project's workflow is: its code location, repository and job."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maestro.errors import InputError, MaestroError
from maestro.remote import errors, queries
from maestro.remote.graphql import GraphQL
from maestro.runs.tags import WORKFLOW_TAG


@dataclass(frozen=True, slots=True)
class Place:
    """A workflow on the server.

    Args:
        project: first part of its assets' keys.
        steps: names of its steps.
    """

    location: str
    repository: str
    job: str
    project: str
    steps: frozenset[str]

    @property
    def selector(self) -> dict[str, str]:
        """Names its repository in GraphQL."""
        return {"repositoryLocationName": self.location, "repositoryName": self.repository}


def job_name(workflow_name: str) -> str:
    """Name of a workflow's Dagster job, as ``maestro_defs.compiler`` makes it."""
    return re.sub(r"[^A-Za-z0-9_]", "_", workflow_name)


def find_place(graphql: GraphQL, project: str, workflow: str) -> Place:
    """Where the server has ``workflow`` of ``project``.

    Raises:
        InputError: nowhere, or in several places.
        MaestroError: the server does not say, or could not load its code.
    """
    answer = graphql.read(queries.WORKSPACE)
    if "locationEntries" not in answer:
        raise errors.of_answer(answer, graphql.server)
    places, broken = _places(answer["locationEntries"])
    found = [one for one in places if one.project == project and one.job == job_name(workflow)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{graphql.server} has workflow '{workflow}' of project '{project}' in several code locations: "
            f"{', '.join(sorted(one.location for one in found))}",
            next_step="keep one of them in the server's workspace.yaml",
        )
    raise _absent(graphql.server, project, workflow, places, broken)


def _absent(
    server: str, project: str, workflow: str, places: Sequence[Place], broken: Mapping[str, str]
) -> MaestroError:
    known = ", ".join(sorted({f"{one.job} of {one.project}" for one in places})) or "none"
    reasons = "; ".join(f"code location '{name}' could not be loaded: {why}" for name, why in broken.items())
    what = f"{server} has no workflow '{workflow}' of project '{project}'; it has: {known}"
    if reasons:
        return MaestroError(f"{what}; {reasons}", next_step="correct the code location, then reload it on the server")
    return InputError(
        what, next_step="check --remote, and `name` and `project` of the workflow; or add it to the server's workspace"
    )


def _places(entries: Sequence[Mapping[str, Any]]) -> tuple[list[Place], dict[str, str]]:
    places: list[Place] = []
    broken: dict[str, str] = {}
    for entry in entries:
        location = entry["locationOrLoadError"] or {}
        if "repositories" not in location:
            broken[entry["name"]] = errors.first_line(str(location.get("message") or "it is still loading"))
            continue
        for repository in location["repositories"]:
            places += _workflows(entry["name"], repository)
    return places, broken


def _workflows(location: str, repository: Mapping[str, Any]) -> list[Place]:
    # Beside them there are jobs of standing assets.
    workflows = {job["name"] for job in repository["jobs"] if any(tag["key"] == WORKFLOW_TAG for tag in job["tags"])}
    steps: dict[tuple[str, str], set[str]] = {}
    for asset in repository["assetNodes"]:
        project, *parts = asset["assetKey"]["path"]
        for job in asset["jobNames"]:
            steps.setdefault((job, project), set()).add("/".join(parts))
    return [
        Place(location, repository["name"], job, project, frozenset(names))
        for (job, project), names in steps.items()
        if job in workflows
    ]
