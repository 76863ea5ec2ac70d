"""Repositories to measure on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")


def commit(root: Path) -> None:
    """Makes ``root`` a repository with everything committed."""
    for arguments in (("init", "-q", "-b", "main"), ("add", "-A"), (*_IDENTITY, "commit", "-q", "-m", "bench")):
        subprocess.run(["git", "-C", str(root), *arguments], check=True, env=os.environ, capture_output=True)


def shell_steps(root: Path, count: int, width: int, command: str, *, cached: bool = False) -> Path:
    """A workflow of ``count`` shell steps in ``width`` chains."""
    root.mkdir(parents=True)
    lines = ["name: bench", "project: bench", "stages:", "  - name: work", "    parallel:"]
    for number in range(count):
        depends = f", depends_on: [s{number - width}]" if number >= width else ""
        cache = str(cached).lower()
        lines.append(f"      - {{id: s{number}, run: shell, with: {{command: '{command}'}}, cache: {cache}{depends}}}")
    (root / "maestro.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    commit(root)
    return root
