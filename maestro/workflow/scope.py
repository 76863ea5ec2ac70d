"""The names an expression may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GIT = ("sha", "short_sha", "branch", "tag", "dirty", "author", "message", "base")
RUN = ("id", "revision", "trusted")
PULL_REQUEST = ("number",)
"""For the concurrency group only; null when no pull request started the run."""
STEP = ("outputs", "metadata", "passed")
MATRIX_STEP = ("cells", "passed")
FUNCTIONS = ("changed",)
ROOTS = ("params", "git", "matrix", "env", "steps", "files", "run", "project", "changed")
PACKAGE = "package.json"
"""The only file whose digest has a short name: ``package.json.hash`` is ``files['package.json'].hash``."""


def complete(scope: Mapping[str, Any]) -> dict[str, Any]:
    """``scope`` with ``package.json.hash`` added, read from ``files`` when it is asked for."""
    if "package" in scope or "files" not in scope:
        return dict(scope)
    return {**scope, "package": _Package(scope["files"])}


class _Package(Mapping[str, Any]):
    """``package``: holds ``json``, which is the file's entry."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        self._files = files

    def __getitem__(self, key: str) -> Any:
        if key != "json":
            raise KeyError(key)
        return self._files[PACKAGE]

    def __iter__(self) -> Any:
        return iter(["json"])

    def __len__(self) -> int:
        return 1
