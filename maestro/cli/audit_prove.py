"""``maestro audit prove``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from maestro.cli.audit_source import DB_OPTION, KEY_OPTION, open_to_read, read_file, write_file
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable

_FILE = click.Path(dir_okay=False, path_type=Path)


@example_command(
    "prove",
    example="""maestro audit prove 42 --output proof.json
maestro audit prove --verify proof.json --key audit.pem.pub""",
)
@click.argument("index", type=click.IntRange(min=0), required=False)
@click.option("--output", type=_FILE, metavar="FILE", help="Write the proof there; standard output if not given.")
@click.option("--verify", "proof_file", type=_FILE, metavar="FILE", help="Check this proof; needs no database.")
@DB_OPTION
@KEY_OPTION
@pass_options
def command(
    options: GlobalOptions,
    index: int | None,
    output: Path | None,
    proof_file: Path | None,
    db: str | None,
    key: str | None,
) -> int:
    """Write a proof that an entry is in the log, or check a proof offline.

    A proof file holds the entry, the hashes that lead to the root, and the signed checkpoint. Who checks it needs the
    log's public key and nothing else.
    """
    terminal = Terminal(options)
    if (index is None) == (proof_file is None):
        raise click.UsageError("give the index of an entry, or --verify FILE")
    if proof_file is not None:
        if key is None:
            raise click.UsageError("--verify needs --key: the public key of the log")
        terminal.line(f"{terminal.state('ok')} {printable(_check(proof_file, key))}")
        return 0
    assert index is not None
    with open_to_read(options, db, key) as log:
        text = json.dumps(log.prove(index).to_json(), indent=2, ensure_ascii=False)
    if output is None:
        terminal.line(text)
    else:
        write_file(output, f"{text}\n")
        terminal.line(f"wrote {output}")
    return 0


def _check(file: Path, key: str) -> str:
    from maestro.audit.keyfile import read_public
    from maestro.audit.proof import InclusionProof, read_proof

    proof = read_proof(read_file(file))
    trusted = read_public(key)
    if isinstance(proof, InclusionProof):
        checkpoint = proof.verify(trusted)
        entry = proof.entry
        return (
            f"entry {entry['index']} ({entry['kind']} by {entry['actor']} at {entry['at']}) is in the log "
            f"{checkpoint.origin}, as it was signed at {checkpoint.size} entries"
        )
    old, new = proof.verify(trusted)
    return f"the log {new.origin} of {new.size} entries begins with all of the log of {old.size} entries"
