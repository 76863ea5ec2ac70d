"""The report of a run that never was: the workflow file of the revision cannot be used."""

from __future__ import annotations

from maestro.errors import MaestroError
from maestro.notation.problems import Problem
from maestro.reporting.model import Annotation, RunReport
from maestro.server.projects import RegisteredProject
from maestro.workflow.problems import WorkflowErrors


def invalid_report(
    project: RegisteredProject,
    sha: str,
    run_id: str,
    error: MaestroError,
    *,
    created: float,
    pull_request: int | None = None,
) -> RunReport:
    """What is told when there can be no run.

    Args:
        run_id: the id the run would have had; it names the check.
        error: why; one of the workflow file has a line for each of its problems.
        created: Unix seconds.
    """
    problems = error.problems if isinstance(error, WorkflowErrors) else ()
    annotations = tuple(_annotation(one, project.workflow_file) for one in problems)
    if not annotations and error.where is not None and error.where.line:
        where = error.where
        annotations = (Annotation(project.workflow_file, where.line, error.what, column=where.column),)
    return RunReport(
        project=project.name,
        repository=project.repository,
        provider=project.provider,
        sha=sha,
        run_id=run_id,
        workflow=project.workflow_file,
        state="invalid",
        created=created,
        reason=str(error),
        pull_request=pull_request,
        annotations=annotations,
    )


def _annotation(problem: Problem, workflow_file: str) -> Annotation:
    following = [f"allowed: {problem.allowed}"] if problem.allowed else []
    following += [f'did you mean "{problem.suggestion}"?'] if problem.suggestion else []
    return Annotation(
        # The place may be named by where the file was read; it is shown in the repository.
        path=workflow_file,
        line=max(1, problem.location.line),
        column=problem.location.column,
        message="\n".join([problem.message, *following]),
        title="the workflow file is wrong",
    )
