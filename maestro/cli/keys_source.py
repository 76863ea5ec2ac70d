"""Finds the project's keys, and words for the times of a key."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from maestro.cli.options import GlobalOptions
from maestro.cli.prepare import find_project, open_project
from maestro.errors import InputError, Location, MaestroError
from maestro.profile import load_profile
from maestro.signing import TrustedKey
from maestro.signing.errors import KeyUnusableError
from maestro.signing.project_keys import TRUST_FILE, KeyChange, ProjectKeys

_LARGEST_FILE = 1024 * 1024


def project_keys(options: GlobalOptions) -> ProjectKeys:
    """The keys of the project the options name; every change of them becomes a row of its audit log."""
    project = find_project(options)
    folder = project.home / "keys"
    configured = load_profile(options.profile).settings.evidence.trust
    if not configured and not folder.exists():
        # So that the folder ignores itself in git.
        project.ensure_home()
    trust_file = Path(configured) if configured else folder / TRUST_FILE
    return ProjectKeys(folder, trust_file, lambda change: _log(options, change))


def _log(options: GlobalOptions, change: KeyChange) -> None:
    """Writes a change of the keys, which stands already, to the project's audit log."""
    from maestro.audit import AuditEvent, AuditLog
    from maestro.cli.audit_source import find
    from maestro.evidence.desk import actor_of

    try:
        source = find(options, None)
        origin = None if source.key_file.exists() else _origin(options)
        with AuditLog.open(source.url, origin=origin, key_file=source.key_file) as log:
            log.append(AuditEvent(change.kind, actor_of(os.environ), change.keyid, dict(change.data), change.at))
            log.checkpoint()
    except MaestroError as error:
        raise KeyUnusableError(
            f"the keys are changed ({change.kind} {change.keyid[:16]}), but that could not be logged: {error.what}",
            where=error.where,
            next_step=error.next_step,
        ) from error


def _origin(options: GlobalOptions) -> str:
    """The name of a log that is to be begun, the same that a run would give it."""
    configured = load_profile(options.profile).settings.evidence.origin
    if configured:
        return configured
    project = find_project(options)
    name = open_project(options).name if project.workflow_file.is_file() else project.default_name()
    return f"maestro/{name}"


def complete_key(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of trusted keys that begin so."""
    try:
        trust = project_keys(context.ensure_object(GlobalOptions)).trust()
    except (MaestroError, OSError):
        return []
    return [CompletionItem(one.name) for one in trust if one.name.startswith(begun)]


def described(key: TrustedKey, at: datetime) -> dict[str, Any]:
    """A key as JSON; the public key too."""
    return {"state": key.state(at), **key.model_dump(mode="json", exclude_none=True)}


def day(at: datetime | None) -> str:
    """``2026-11-21 13:00``, in UTC; a dash for no time."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if at else "-"


def read_until(text: str | None) -> datetime | None:
    """The end of a key's validity: a date, whose beginning in UTC counts, or a time with its zone."""
    if text is None:
        return None
    try:
        if len(text) == len("2030-01-01"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        until = datetime.fromisoformat(text)
    except ValueError:
        until = datetime.min
    if until.tzinfo is None:
        raise InputError(
            f"--valid-until '{text}' is no date", next_step="write one such as 2030-01-01 or 2030-01-01T12:00:00Z"
        )
    return until


def read_file(path: str) -> bytes:
    """The content of a file with keys."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {os.strerror(error.errno or 0)}",
            where=Location(path),
            next_step="name a file with a public key in PEM, or a trust file",
        ) from None
    if len(data) > _LARGEST_FILE:
        raise InputError("the file is too large for keys", where=Location(path), next_step="name another file")
    return data
