"""The concurrency group of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maestro.errors import InputError
from maestro.workflow.concurrency import Concurrency
from maestro.workflow.expressions import Expressions, as_text

MAX_GROUP = 200


def group_of(
    concurrency: Concurrency | None,
    *,
    git: Mapping[str, Any],
    params: Mapping[str, Any],
    project: str,
    pull_request: int | None,
) -> str | None:
    """The text that runs of one group have in common, within their project; None for a run without a group.

    Args:
        git: as in a step's expressions; ``branch`` as ``Wanted.branch`` says.

    Raises:
        InputError: an expression fails, or the text has more than 200 characters.
    """
    if concurrency is None or concurrency.group is None:
        return None
    scope = {"git": git, "params": params, "project": project, "pull_request": {"number": pull_request}}
    text = " ".join(as_text(Expressions().render(concurrency.group, scope)).split())
    if len(text) > MAX_GROUP:
        raise InputError(
            f"the concurrency group has {len(text):,} characters; at most {MAX_GROUP} are allowed",
            next_step="make the group of something shorter, such as '{{ git.branch }}'",
        )
    return text or None
