"""``maestro policy bundle build``."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command(
    "build",
    example="""maestro policy bundle build                   # what Maestro ships, for an OPA server
maestro policy bundle build policies --output policies.tar.gz --sign""",
)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("policies.tar.gz"),
    show_default=True,
    metavar="FILE",
    help="Where to write it.",
)
@click.option("--sign", is_flag=True, help="Sign it with the project's key, in FILE.sigstore.json.")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, folder: Path | None, output: Path, sign: bool, as_json: bool) -> int:
    """Build a bundle from a folder of policies: the same content, the same bytes.

    Its version is the revision in the folder's .manifest. Tests and samples are left out.
    """
    from maestro.policy import load_bundle
    from maestro.policy.bundle_building import bundle_bytes, sign_bundle, write_bundle

    bundle = load_bundle(folder)
    archive = bundle_bytes(bundle)
    signature = keyid = None
    if sign:
        from maestro.cli.keys_source import project_keys
        from maestro.profile import load_profile

        uri = load_profile(options.profile).settings.evidence.key
        signer = project_keys(options).signer(uri, environ=os.environ)
        signature, keyid = sign_bundle(bundle, archive, signer), signer.keyid
    write_bundle(output, archive, signature)
    terminal = Terminal(options)
    sha256 = hashlib.sha256(archive).hexdigest()
    if as_json:
        terminal.json(
            {
                "file": str(output),
                "sha256": sha256,
                "version": bundle.version,
                "revision": bundle.revision,
                "digest": bundle.digest,
                "keyid": keyid,
            }
        )
        return 0
    terminal.line(f"{output}: {len(bundle.files)} files, revision {bundle.revision}")
    terminal.line(f"digest {bundle.digest}")
    terminal.line(f"sha256 {sha256}")
    terminal.line(f"signed by the key {keyid[:16]}…" if keyid else "not signed")
    return 0
