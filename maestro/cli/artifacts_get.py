"""``maestro artifacts get``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from maestro.artifacts import Artifact, ArtifactStore
from maestro.cli.artifact_source import records_of, store_of
from maestro.cli.complete import complete_run, complete_selection
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, size
from maestro.errors import InputError

_DIGEST = re.compile(r"[0-9a-f]{6,64}")
_WHOLE = 64


@example_command(
    "get",
    example="""maestro artifacts get test/unit report -o report.xml
maestro artifacts get build dist/app.whl -o -
maestro artifacts get 3fa9c0d1e2f4 -o file.bin""",
)
@click.argument("step", metavar="STEP|DIGEST", shell_complete=complete_selection)
@click.argument("name", required=False)
@click.option("-o", "--output", metavar="FILE", help="Where to; - is standard output; its own name if not given.")
@click.option("--run", metavar="RUN", shell_complete=complete_run, help="Of this run, not of the current revision.")
@click.option("--revision", metavar="REV", help="Of this revision, not of the current one.")
@pass_options
def command(
    options: GlobalOptions, step: str, name: str | None, output: str | None, run: str | None, revision: str | None
) -> int:
    """Write an artifact to a file or to standard output.

    DIGEST is a sha256 or its first characters. NAME may be left out when the step has one artifact beside its log.
    """
    store = store_of(options)
    artifact = _by_digest(store, step) if name is None and _DIGEST.fullmatch(step) else None
    if artifact is None:
        artifact = _by_name(options, step, name, run, revision)
    if output == "-":
        for chunk in store.read_chunks(artifact.sha256):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return 0
    target = Path(output or Path(artifact.path or artifact.name).name)
    if target.is_dir():
        target /= Path(artifact.path or artifact.name).name
    store.fetch(artifact, target.absolute())
    Terminal(options).line(f"wrote {target} ({size(artifact.size)}, sha256 {artifact.sha256})")
    return 0


def _by_digest(store: ArtifactStore, digest: str) -> Artifact | None:
    found = [one for one in store.list() if one.sha256.startswith(digest)]
    if len(found) > 1:
        raise InputError(f"{len(found)} artifacts begin with '{digest}'", next_step="give more of the digest")
    if not found:
        if len(digest) == _WHOLE:
            raise InputError(
                f"nothing is stored under '{digest}'", next_step="list what is there: maestro artifacts ls"
            )
        return None
    return Artifact(found[0].sha256[:12], found[0].sha256, found[0].size, "application/octet-stream", None)


def _by_name(options: GlobalOptions, step: str, name: str | None, run: str | None, revision: str | None) -> Artifact:
    records = records_of(options, run=run, revision=revision, step=step)
    artifacts = [artifact for record in records for artifact in record.artifacts()]
    if not artifacts:
        raise InputError(
            f"step '{step}' has left nothing for this revision",
            next_step="run it, or name another with --run or --revision",
        )
    outputs = [artifact for record in records for artifact in record.outputs]
    if name is None:
        for only in (outputs, artifacts):
            if len(only) == 1:
                return only[0]
        names = ", ".join(dict.fromkeys(artifact.name for artifact in artifacts))
        raise InputError(f"step '{step}' has several artifacts", next_step=f"name one of: {names}")
    for artifact in [*outputs, *artifacts]:
        if name in (artifact.name, artifact.path):
            return artifact
    names = ", ".join(dict.fromkeys(artifact.name for artifact in artifacts))
    raise InputError(f"step '{step}' has no artifact '{name}'", next_step=f"name one of: {names}")
