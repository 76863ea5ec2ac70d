"""Which commit is meant where an event names only a branch or a tag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from maestro.triggers.model import Settled, Wanted


def settled(wanted: Wanted, tip: Callable[[str], str]) -> Settled:
    """``wanted`` with both its commits.

    Args:
        tip: the commit a ref stands for now: ``refs/heads/main``, ``refs/tags/v1``, or ``HEAD`` for the default branch.
            What it raises is passed on.
    """
    sha = wanted.sha if wanted.sha is not None else tip(_named(wanted.ref))
    workflow_sha = wanted.workflow_sha
    if workflow_sha is None:
        same = wanted.trusted and wanted.workflow_ref == wanted.ref
        # Asked once, so that a push in between does not part the file from its revision.
        workflow_sha = sha if same else tip(_named(wanted.workflow_ref))
    given = {field.name: getattr(wanted, field.name) for field in fields(Wanted)}
    return Settled(**{**given, "sha": sha, "workflow_sha": workflow_sha})


def _named(ref: str | None) -> str:
    if ref is None:
        raise AssertionError("an event names a commit or a ref")
    return ref
