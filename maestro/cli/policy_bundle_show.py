"""``maestro policy bundle show``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command(
    "show",
    example="""maestro policy bundle show                    # what the profile's gates decide by
maestro policy bundle show policies.tar.gz --json""",
)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, path: Path | None, as_json: bool) -> int:
    """Show version, digest, files and rules of a bundle."""
    from maestro.cli.policy_source import bundle_of
    from maestro.policy.inspection import policies_of

    bundle = bundle_of(options, path)
    names = policies_of(bundle)
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {
                "source": bundle.source,
                "version": bundle.version,
                "revision": bundle.revision,
                "digest": bundle.digest,
                "signer": bundle.signer,
                "roots": list(bundle.roots),
                "policies": list(names),
                "files": {name: len(data) for name, data in bundle.files.items()},
            }
        )
        return 0
    terminal.line(f"{bundle.source}: version {bundle.version}, revision {bundle.revision}")
    terminal.line(f"digest {bundle.digest}")
    terminal.line(f"signed by '{bundle.signer}'" if bundle.signer else "signature not asked for")
    terminal.line("policies a gate can name:")
    for name in names:
        terminal.line(f"  {name}")
    return 0
