"""A workflow file's YAML to a tree of nodes."""

from __future__ import annotations

from maestro.notation import yaml_reader
from maestro.notation.document import Document
from maestro.notation.yaml_reader import MAX_BYTES, FileKind
from maestro.workflow.problems import WorkflowErrors

WORKFLOW = FileKind("workflow", "name: …, stages: …", WorkflowErrors)

__all__ = ["MAX_BYTES", "WORKFLOW", "parse", "refuse_large"]


def parse(content: bytes, *, file: str) -> Document:
    """The document in ``content``.

    Raises:
        WorkflowErrors: not UTF-8, not YAML, over a limit, or using a part of YAML the language does not have.
    """
    return yaml_reader.parse(content, file=file, kind=WORKFLOW)


def refuse_large(size: int, *, file: str) -> None:
    """Raise WorkflowErrors when ``size``, in bytes, is over the limit."""
    yaml_reader.refuse_large(size, file=file, kind=WORKFLOW)
