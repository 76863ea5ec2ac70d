"""What is wrong with a workflow file."""

from __future__ import annotations

from maestro.notation.problems import FileErrors


class WorkflowErrors(FileErrors):
    """The workflow file cannot be used; carries every problem found, in the order of the file."""
