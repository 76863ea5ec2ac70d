"""One run of the workflow in the current folder by Maestro's executor; prints how long carrying it out took."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from maestro.artifacts import ArtifactStore
from maestro.execution.expand import expanded
from maestro.execution.parameters import complete
from maestro.execution.planner import make_plan
from maestro.execution.request import RunIdentity, RunRequest
from maestro.execution.session import RunSession
from maestro.profile import load_profile
from maestro.project import Project, current_revision
from maestro.steps import Registry
from maestro.workflow.expressions import Expressions
from maestro.workflow.load import load_workflow
from maestro_defs.local import LocalRequest, start_run
from resources.delivery import Checkout, Source


def main() -> int:
    """Plans, runs, and times the run from its creation to its end."""
    project, registry = Project.find(Path.cwd()), Registry()
    loaded = load_workflow(project.workflow_file, registry=registry)
    params = complete(loaded.workflow, {})
    graph = expanded(loaded, params, Expressions())
    revision = current_revision(project)
    store = ArtifactStore.open(str(project.ensure_home() / "artifacts"))
    name = loaded.workflow.project or project.default_name()
    session = RunSession(
        project,
        name,
        loaded,
        graph,
        registry,
        revision,
        project.root,
        RunIdentity("plan", "plan"),
        RunRequest(params),
        store,
        os.environ,
    )
    plan = make_plan(session)
    session.close()
    source = Source(project, name, load_profile(), loaded, graph, registry)
    request = LocalRequest(revision.id, plan.selection, params, Checkout(revision, project.root), cached=plan.cached)
    with start_run(source, request) as run:
        began = time.perf_counter()
        for _ in run.events:
            pass
        spent = time.perf_counter() - began
        passed = run.status.value == "SUCCESS"
    print(json.dumps({"seconds": spent, "passed": passed}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
