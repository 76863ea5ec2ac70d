"""``maestro policy bundle verify``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command(
    "verify",
    example="""maestro policy bundle verify policies.tar.gz
maestro policy bundle verify policies.tar.gz --trust trust.yaml --json""",
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keys whose signatures count; the project's if not given.",
)
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, path: Path, trust: Path | None, as_json: bool) -> int:
    """Check the signature of a bundle, and that its policies can be used."""
    from maestro.policy import load_bundle
    from maestro.signing import TrustRoot

    if trust is not None:
        root = TrustRoot.load(trust)
    else:
        from maestro.cli.keys_source import project_keys

        root = project_keys(options).trust()
    bundle = load_bundle(path, trust=root)
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {"file": str(path), "signer": bundle.signer, "revision": bundle.revision, "digest": bundle.digest}
        )
        return 0
    terminal.line(f"{path}: signed by '{bundle.signer}', revision {bundle.revision}, digest {bundle.digest}")
    return 0
