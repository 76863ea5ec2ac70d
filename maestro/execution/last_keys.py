"""Remembers what went into each step's cache key the last time, so that a plan can say what has changed since."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from maestro.execution.inputs import matches
from maestro.execution.resolve import Resolved
from maestro.project import Project, Revision
from maestro.project.git import GitError
from maestro.project.revision import object_git

_SHOWN = 3


class LastKeys:
    """The parts of the last known keys, by step; a convenience of this machine, never relied on."""

    def __init__(self, project: Project, project_name: str) -> None:
        self._project = project
        self._file: Path = project.ensure_home() / "last-keys" / f"{project_name}.json"
        try:
            loaded = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            loaded = {}
        self._known: dict[str, dict[str, str]] = loaded if isinstance(loaded, dict) else {}

    def save(self, parts: Mapping[str, Mapping[str, str]], revision: Revision) -> None:
        """Remembers ``parts`` by step, made at ``revision``."""
        if not parts:
            return
        self._known.update({step: {**one, "tree": revision.tree} for step, one in parts.items()})
        self._file.parent.mkdir(exist_ok=True)
        temporary = self._file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        temporary.write_text(json.dumps(self._known), encoding="utf-8")
        temporary.replace(self._file)

    def what_changed(self, resolved: Resolved, revision: Revision) -> str:
        """One phrase for people; ``never run before`` when nothing is remembered."""
        before = self._known.get(resolved.node.name)
        if before is None:
            return "no result yet"
        now = resolved.key_parts
        differing = [name for name in {**before, **now} if name != "tree" and before.get(name) != now.get(name)]
        if not differing:
            return "it did not pass the last time, or its result is no longer in the cache"
        phrases = [self._phrase(name, before, resolved, revision) for name in sorted(differing)]
        return "changed: " + ", ".join(phrases)

    def _phrase(self, name: str, before: Mapping[str, str], resolved: Resolved, revision: Revision) -> str:
        if name != "inputs":
            return name
        try:
            data = object_git(self._project)(
                "diff-tree", "-r", "-z", "--name-only", "--no-renames", before["tree"], revision.tree
            )
        except (GitError, KeyError):
            return name
        paths = [path.decode("utf-8", "replace") for path in data.split(b"\0") if path]
        globs = resolved.input_globs
        chosen = paths if globs is None else list(matches(paths, globs))
        if not chosen:
            return name
        more = f" and {len(chosen) - _SHOWN} more" if len(chosen) > _SHOWN else ""
        return ", ".join(chosen[:_SHOWN]) + more
