"""The project's name, also while its workflow file is wrong: runs can be looked at all the same."""

from __future__ import annotations

from maestro.errors import MaestroError
from maestro.project import Project
from maestro.workflow.yaml_reader import parse


def project_name(project: Project) -> str:
    """What the workflow file gives as ``project``, else the project's default name."""
    try:
        node = parse(project.workflow_file.read_bytes(), file=project.workflow_file.name).root.child("project")
    except (OSError, MaestroError):
        node = None
    if node is not None and isinstance(node.value, str) and node.value:
        return node.value
    return project.default_name()
