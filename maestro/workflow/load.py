"""Reads ``maestro.yaml``: from bytes to a checked ``Workflow`` whose every part knows its place in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from maestro.errors import InputError, Location
from maestro.notation.document import Document, Path
from maestro.notation.problems import Problem
from maestro.workflow.expressions import ExpressionError
from maestro.workflow.model import Workflow
from maestro.workflow.problems import WorkflowErrors
from maestro.workflow.shape import place
from maestro.workflow.yaml_reader import MAX_BYTES, parse, refuse_large

if TYPE_CHECKING:
    from maestro.steps.registry import Registry


@dataclass(frozen=True, slots=True)
class LoadedWorkflow:
    """A workflow that passed every check, and where its parts stand.

    Args:
        workflow: the models.
        file: name of the file, as given.
        document: the tree of the file, for places.
        params_models: step kind -> model of its parameters, for every kind the workflow uses.
    """

    workflow: Workflow
    file: str
    document: Document
    params_models: Mapping[str, type[BaseModel]] = field(default_factory=dict)

    def location(self, path: Path, *, key: bool = False) -> Location:
        """Place of the value at ``path`` (``("stages", 0, "steps", 1, "with")``), or of its key."""
        found: Location = place(self.document, path, key=key)
        return found

    def problem(
        self, path: Path, message: str, *, allowed: str | None = None, suggestion: str | None = None
    ) -> Problem:
        """A problem with the value at ``path``, found after loading."""
        return self.document.problem(self.location(path), message, allowed=allowed, suggestion=suggestion)

    def expression_error(self, path: Path, error: ExpressionError) -> WorkflowErrors:
        """``error``, met when the string at ``path`` was rendered, with its place."""
        from maestro.workflow.check_expressions import expression_problem

        return WorkflowErrors([expression_problem(self.document, path, error)])

    def params(self, kind: str, with_: Mapping[str, Any], path: Path) -> Any:
        """The rendered ``with`` of the step at ``path`` as its kind's parameters.

        Raises:
            WorkflowErrors: the kind does not take these values.
        """
        from maestro.workflow.params import validate_params

        return validate_params(self.params_models[kind], with_, document=self.document, path=(*path, "with"))


def load_workflow(path: FilePath, *, registry: Registry) -> LoadedWorkflow:
    """The workflow in the file at ``path``.

    Raises:
        InputError: the file cannot be read.
        WorkflowErrors: it is wrong; carries every problem.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                refuse_large(max(path.stat().st_size, len(content)), file=str(path))
    except FileNotFoundError:
        raise InputError(
            "there is no workflow file here", where=Location(str(path)), next_step="write one with 'maestro init'"
        ) from None
    except IsADirectoryError:
        raise InputError(
            "this is a folder, not a workflow file", where=Location(str(path)), next_step="name the file in it"
        ) from None
    except OSError as error:
        raise InputError(
            f"the workflow file cannot be read: {error.strerror or error}",
            where=Location(str(path)),
            next_step="check the file and its permissions",
        ) from error
    return load_text(content, file=str(path), registry=registry)


def load_text(text: bytes, *, file: str, registry: Registry) -> LoadedWorkflow:
    """The workflow in ``text``; ``file`` is the name its problems are reported under.

    Raises:
        WorkflowErrors: it is wrong; carries every problem.
    """
    from maestro.workflow.check import check

    document = parse(text, file=file)
    workflow, models, problems = check(document, registry)
    if problems or workflow is None:
        raise WorkflowErrors(problems)
    return LoadedWorkflow(workflow, file, document, models)
