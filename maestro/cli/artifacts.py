"""``maestro artifacts``: the group; its commands are ``artifacts_ls``, ``artifacts_get`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "ls": "List artifacts: of a run, a revision or a step; of this revision if nothing is said.",
    "get": "Write an artifact to a file or to standard output.",
    "verify": "Read stored bytes and compare their digests.",
    "gc": "Delete what nothing needs any more; says so first, deletes with --yes.",
}


class _Artifacts(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"artifacts_{name}"


command: click.Command = _Artifacts(
    name="artifacts",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="List, get, verify and collect what steps left behind.",
    example="maestro artifacts ls --run latest",
)
