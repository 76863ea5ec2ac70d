"""``maestro keys import``."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import click

from maestro.cli.keys_source import described, project_keys, read_file, read_until
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural
from maestro.errors import InputError, Location
from maestro.signing import TrustedKey
from maestro.signing.public_key import SCHEMES


@example_command(
    "import",
    example="""maestro keys import release.pem --name release --valid-until 2028-01-01
maestro keys import --signer 'awskms:///alias/release' --name release
maestro keys import ../other/trust.yaml""",
)
@click.argument("source", required=False, metavar="[FILE]", type=click.Path())
@click.option("--signer", metavar="URI", help="Instead of a file: the key of this signer.")
@click.option("--name", metavar="NAME", help="Name of the key; a trust file has names of its own.")
@click.option("--valid-until", metavar="DATE", help="When the key expires.")
@click.option("--scheme", type=click.Choice(SCHEMES), help="How the key signs; its kind's usual way if not given.")
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    source: str | None,
    signer: str | None,
    name: str | None,
    valid_until: str | None,
    scheme: str | None,
    as_json: bool,
) -> int:
    """Trust a public key, a signer's key, or the keys of another trust file.

    Make sure by another way that the key is whose you think it is. Of a key that is trusted already, a trust file can
    only say that it is retired or revoked.
    """
    if (source is None) == (signer is None):
        raise click.UsageError("name a file, or a signer with --signer")
    keys = project_keys(options)
    data = read_file(source) if source is not None else b""
    if source is None or b"-----BEGIN " in data[:200]:
        made = _one(data, signer, name, valid_until, scheme)
        keys.add(made)
        done: tuple[TrustedKey, ...] = (made,)
    else:
        from maestro.signing.trust_file import parse

        if name or valid_until or scheme:
            raise InputError(
                "there is no public key in PEM in this file; a trust file says names and times itself",
                where=Location(source),
                next_step="name a file that begins with '-----BEGIN PUBLIC KEY-----', or leave the other options out",
            )
        done = keys.merge(parse(data, file=source))
    terminal = Terminal(options)
    if as_json:
        terminal.json({"keys": [described(one, datetime.now(UTC)) for one in done]})
        return 0
    for one in done:
        terminal.line(f"'{one.name}' ({one.keyid[:16]}) is {_word(one)}")
    if not done:
        terminal.line("nothing to do: all of these keys are there")
    elif len(done) > 1:
        terminal.line(f"{plural(len(done), 'key')} added or changed")
    return 0


def _one(data: bytes, signer: str | None, name: str | None, valid_until: str | None, scheme: str | None) -> TrustedKey:
    from maestro.signing import open_signer
    from maestro.signing.project_keys import trusted, trusted_pem

    if name is None:
        raise InputError("the key has no name", next_step="give it one: --name release")
    now, until = datetime.now(UTC), read_until(valid_until)
    if signer is None:
        return trusted_pem(data.decode("utf-8", "replace"), name=name, at=now, valid_until=until, scheme=scheme)
    opened = open_signer(signer, environ=os.environ)
    return trusted(opened.public_key, name=name, at=now, valid_until=until, development=opened.development)


def _word(key: TrustedKey) -> str:
    state = key.state(datetime.now(UTC))
    return "trusted now" if state == "active" else state
