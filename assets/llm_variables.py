"""What a prompt's variables are filled with when the workflow does not give them: the revision's history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from maestro.steps import History

SINCE = "since"


def filled(names: Collection[str], given: Mapping[str, Any], history: History, revision: str) -> dict[str, Any]:
    """``given``, and what of ``names`` is known of the revision: ``diff``, ``files``, ``log``, ``base``, ``revision``.

    ``since`` among ``given`` is where ``diff``, ``files`` and ``log`` begin.

    Raises:
        InputError: ``since`` names no revision, or the history is not there.
    """
    since = given.get(SINCE)
    begin = since if isinstance(since, str) and since else None
    known: dict[str, Callable[[], Any]] = {
        "diff": lambda: history.diff(begin),
        "files": lambda: history.changed_files(begin),
        # Elsewhere a log is what a step wrote.
        **({"log": lambda: history.log(begin)} if SINCE in names else {}),
        "base": lambda: history.base or "",
        "revision": lambda: revision,
        SINCE: lambda: history.base or "",
    }
    return {**{name: ask() for name, ask in known.items() if name in names and name not in given}, **given}
