"""Finds the audit log a person means: the project's, or one named by its database and key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.options import GlobalOptions
from maestro.errors import InputError, Location

if TYPE_CHECKING:
    from maestro.audit import AuditLog, VerifierKey

DB_OPTION = click.option("--db", metavar="URL", help="Database of the log; the project's if not given.")
KEY_OPTION = click.option("--key", metavar="KEY", help="Public key of the log: its line, or a file with it.")
KEY_FILE_OPTION = click.option(
    "--key-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Private key of the log."
)
_BEGUN_OR_LOST = (
    "the first run writes one; if there was one, restore it, or name it by `evidence: {audit: URL}` in the profile"
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a log and its private key are."""

    url: str
    key_file: Path


def find(options: GlobalOptions, db: str | None, key_file: Path | None = None) -> Source:
    """The log named, else the project's: as the profile says, else in its state folder."""
    if db is not None and key_file is not None:
        return Source(db, key_file)
    from maestro.cli.prepare import find_project
    from maestro.profile import load_profile

    home = find_project(options).home
    configured = load_profile(options.profile).settings.evidence.audit
    return Source(db or configured or f"sqlite:///{home / 'audit.db'}", key_file or home / "keys" / "audit.pem")


def open_to_read(options: GlobalOptions, db: str | None, key: str | None) -> AuditLog:
    """The log, for who needs no private key.

    Raises:
        InputError: there is no log, or no public key.
    """
    from maestro.audit import AuditLog
    from maestro.audit.keyfile import read_public

    if db is not None and key is not None:
        return AuditLog.read(db, key=read_public(key))
    source = find(options, db)
    return AuditLog.read(source.url, key=read_public(key) if key else _public_key(source, own=db is None))


def open_own(options: GlobalOptions) -> AuditLog:
    """The project's own log, for commands that take no other.

    Raises:
        InputError: there is no log, or no public key.
    """
    from maestro.audit import AuditLog

    source = find(options, None)
    return AuditLog.read(source.url, key=_public_key(source, own=True, chosen=False))


def open_to_write(options: GlobalOptions, db: str | None, key_file: Path | None) -> AuditLog:
    """The log, with its private key; never a new one.

    Raises:
        InputError: there is no log, or no private key.
    """
    from maestro.audit import AuditLog

    source = find(options, db, key_file)
    return AuditLog.open(source.url, origin=None, key_file=source.key_file, create=False)


def _public_key(source: Source, *, own: bool, chosen: bool = True) -> VerifierKey:
    """The log's public key.

    Args:
        own: it is the project's log.
        chosen: whether the command has ``--db`` and ``--key``.
    """
    from maestro.audit.database import Database
    from maestro.audit.keyfile import load, public_file, read_public
    from maestro.audit.log import gone

    public = public_file(source.key_file)
    database = Database(source.url)
    if own and (public.is_file() or source.key_file.is_file()) and not database.exists():
        raise gone(database, source.key_file)
    if public.is_file():
        return read_public(str(public))
    try:
        return load(source.key_file, None).verifier
    except FileNotFoundError:
        if not database.exists():
            raise InputError(
                f"there is no audit log in {database.shown}",
                next_step="the first run writes one; or name it with --db" if chosen else _BEGUN_OR_LOST,
            ) from None
        raise InputError(
            f"the public key of the audit log is missing: {public}",
            next_step="give it with --key"
            if chosen
            else "put it back there; `maestro audit verify --key` takes it too",
        ) from None


def read_file(path: Path, limit: int = 1 << 22) -> bytes:
    """Content of a file a person named.

    Raises:
        InputError: it cannot be read, or is larger than ``limit`` bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", where=Location(str(path)), next_step="name another file"
        ) from error
    if len(data) > limit:
        raise InputError(f"larger than {limit} bytes", where=Location(str(path)), next_step="name another file")
    return data


def read_note(path: Path) -> str:
    """A checkpoint's note from a file; verified by whoever uses it."""
    return read_file(path).decode("utf-8", "replace")


def write_file(path: Path, text: str) -> None:
    """Writes a file a person named.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", where=Location(str(path)), next_step="name another file"
        ) from error
