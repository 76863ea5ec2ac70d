"""What the policy commands share: the bundle and the engine a person means, and input documents from files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro.cli.options import GlobalOptions
from maestro.errors import InputError, Location

if TYPE_CHECKING:
    from maestro.policy import Bundle, Decision, PolicyEngine

_LARGEST = 64 * 1024 * 1024


def bundle_of(options: GlobalOptions, path: Path | None) -> Bundle:
    """The bundle named, else the profile's, signed if the profile says so."""
    from maestro.policy import load_bundle
    from maestro.profile import load_profile

    settings = load_profile(options.profile).settings.policy
    if path is None and settings.bundle is not None:
        path = Path(settings.bundle)
    trust = None
    if settings.require_signed:
        from maestro.cli.keys_source import project_keys

        trust = project_keys(options).trust()
    return load_bundle(path, trust=trust)


@contextmanager
def engine_of(
    options: GlobalOptions, path: Path | None, opa: str | None, timeout: float | None
) -> Iterator[PolicyEngine]:
    """An engine, as the options and else the profile say; closed at the end."""
    from maestro.policy import open_engine
    from maestro.profile import load_profile

    settings = load_profile(options.profile).settings.policy
    if timeout is not None and not 0 < timeout <= 600:
        raise InputError(f"--timeout {timeout:g} is no time for an answer", next_step="give seconds, up to 600")
    engine = open_engine(bundle_of(options, path), opa_url=opa or settings.opa, timeout=timeout or settings.timeout)
    try:
        yield engine
    finally:
        engine.close()


def read_document(name: str) -> dict[str, Any]:
    """The JSON object in a file; ``-`` is standard input.

    Raises:
        InputError: it cannot be read or is no JSON object; says line and column.
    """
    where = Location("standard input" if name == "-" else name)
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=where, next_step="name a JSON file") from None
    if len(data) > _LARGEST:
        raise InputError(f"it has more than {_LARGEST:,} bytes", where=where, next_step="name another file")
    try:
        document = json.loads(data.decode("utf-8"))
    except json.JSONDecodeError as error:
        place = Location(where.file, error.lineno, error.colno)
        raise InputError(f"it is no JSON: {error.msg}", where=place, next_step="correct the document") from None
    except (UnicodeDecodeError, RecursionError):
        raise InputError("it is no JSON that can be read", where=where, next_step="correct the document") from None
    if not isinstance(document, dict):
        raise InputError("it is no JSON object", where=where, next_step="give the input document of a gate")
    return document


def decision_lines(decision: Decision) -> Iterator[tuple[str, str]]:
    """A decision in lines for people, each with its style."""
    word, style = ("allowed", "green") if decision.allow else ("denied", "red")
    yield f"{word} by {decision.policy} {decision.bundle_version} ({decision.bundle_digest[:19]}…)", style
    if decision.error:
        yield f"  there is no answer of the policy: {decision.error}", ""
    for reason in decision.reasons:
        yield f"  {reason.rule}: {reason.message}", ""
    for warning in decision.warnings:
        yield f"  warning, {warning.rule}: {warning.message}", "yellow"
    for waiver in decision.waivers:
        yield f"  waived, {waived_line(waiver)}", "yellow"


def waived_line(waiver: Mapping[str, Any]) -> str:
    """What was waived, by whom and how long."""
    finding, about = waiver.get("finding", "?"), waiver.get("object", "?")
    return (
        f"{finding} of {about} by {waiver.get('approver')} until {waiver.get('expires')}: {waiver.get('reason')} "
        f"({waiver.get('id')})"
    )
