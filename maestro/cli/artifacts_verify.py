"""``maestro artifacts verify``."""

from __future__ import annotations

import click

from maestro.artifacts import ArtifactStore, verify_all
from maestro.cli.artifact_source import store_of
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural
from maestro.errors import InputError


@example_command(
    "verify",
    example="""maestro artifacts verify                 # everything that is stored
maestro artifacts verify 3fa9c0d1e2f4""",
)
@click.argument("digests", nargs=-1, metavar="[DIGEST]...")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, digests: tuple[str, ...], as_json: bool) -> int:
    """Read stored bytes and compare their digests.

    What is corrupt goes to quarantine and is made again by the next run; the exit code is then 1.
    """
    store = store_of(options)
    if digests:
        chosen = [one for digest in digests for one in _stored(store, digest)]
        checked, corrupt = len(chosen), [one for one in chosen if not store.verify(one)]
    else:
        verified = verify_all(store)
        checked, corrupt = verified.checked, list(verified.corrupt)
    terminal = Terminal(options)
    if as_json:
        terminal.json({"verified": checked, "corrupt": corrupt})
    else:
        for one in corrupt:
            terminal.line(f"{terminal.paint('corrupt', 'red')} {one}: moved to quarantine")
        terminal.line(f"{plural(checked, 'object')} read, {len(corrupt)} corrupt")
    return 1 if corrupt else 0


def _stored(store: ArtifactStore, digest: str) -> list[str]:
    found = sorted(one.sha256 for one in store.list() if one.sha256.startswith(digest.lower()))
    if not found:
        raise InputError(
            f"nothing is stored under '{digest}'", next_step="list what is there: maestro artifacts ls --json"
        )
    return found
