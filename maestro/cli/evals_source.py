"""Finds the evaluations a person means."""

from __future__ import annotations

from maestro.artifacts import ArtifactStore
from maestro.cli.options import GlobalOptions
from maestro.cli.prepare import open_project, open_store
from maestro.evals.history import History

DATASET = "code_review"


def store_and_project(options: GlobalOptions) -> tuple[ArtifactStore, str]:
    """The artifact store of the project the options name, and the project's name."""
    opened = open_project(options)
    return open_store(opened.project, opened.profile), opened.name


def history_of(options: GlobalOptions) -> History:
    """The weeks of the project the options name."""
    return History(*store_and_project(options))
