"""What is logged: an event as it is handed in, the entry it becomes, and the bytes that are hashed.

The leaf of an entry is the JSON of RFC 8785 of exactly ``{"actor","at","data","index","kind","object"}``. A row keeps
the same parts as texts: ``data`` as canonical JSON, ``at`` as RFC 3339 in UTC with microseconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from maestro.audit.errors import AuditInputError
from maestro.audit.merkle import hash_leaf

MAXIMUM_TEXT = 2048
MAXIMUM_DATA = 1 << 20
_KIND = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+")
_LARGEST = 2**53 - 1
"""The largest whole number RFC 8785 writes."""

Mask = Callable[[Any], Any]
"""Replaces secrets in a JSON-like value; ``maestro.secrets.Masker.value`` is one."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that happened and must not be forgotten.

    Args:
        kind: what, as ``thing.happened``: ``policy.decision``, ``waiver.added`` …; up to 63 characters.
        actor: who: a person, a service, a run.
        object: to what: a digest, a revision, a key.
        data: the rest, as JSON, up to 1 MiB; whole numbers up to 2**53.
        at: when, with a time zone; now if not given.
    """

    kind: str
    actor: str
    object: str
    data: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Row:
    """The texts of an event as they are stored."""

    at: str
    actor: str
    kind: str
    object: str
    data: str

    def leaf(self, index: int) -> bytes:
        """Hash of the entry this row is at ``index``.

        Raises:
            UnicodeEncodeError: a text is not UTF-8, which no stored row of a sound log is.
        """
        return hash_leaf(self.canonical(index))

    def canonical(self, index: int) -> bytes:
        """The entry's JSON of RFC 8785, put together from the texts; keys are in order already."""
        return (
            f'{{"actor":{_string(self.actor)},"at":{_string(self.at)},"data":{self.data},"index":{index},'
            f'"kind":{_string(self.kind)},"object":{_string(self.object)}}}'
        ).encode()


@dataclass(frozen=True, slots=True)
class Entry:
    """An event at its place in the log.

    Args:
        index: counts from 0.
        leaf: hash of the leaf, 32 bytes.
    """

    index: int
    at: datetime
    actor: str
    kind: str
    object: str
    data: Mapping[str, Any]
    leaf: bytes

    def to_json(self) -> dict[str, Any]:
        """The object that is hashed."""
        return {
            "actor": self.actor,
            "at": moment(self.at),
            "data": dict(self.data),
            "index": self.index,
            "kind": self.kind,
            "object": self.object,
        }


def make_row(event: AuditEvent, mask: Mask | None = None) -> Row:
    """The event as it is stored, masked first.

    Raises:
        AuditInputError: a field is empty, too long, of the wrong form, or cannot be written as JSON.
    """
    if not isinstance(event.kind, str) or not _KIND.fullmatch(event.kind) or len(event.kind) > 63:
        raise _wrong(f"{event.kind!r} is no kind of audit event", "name it like 'policy.decision', up to 63 characters")
    if event.at.tzinfo is None:
        raise _wrong(f"the time of a '{event.kind}' event has no time zone", "give a time with a zone, best UTC")
    mask = mask or (lambda value: value)
    return Row(
        at=moment(event.at),
        actor=_text("actor", event.kind, mask(event.actor)),
        kind=event.kind,
        object=_text("object", event.kind, mask(event.object)),
        data=_data(event.kind, mask(dict(event.data))),
    )


def read_entry(index: int, row: Row) -> Entry:
    """The entry a row is.

    Raises:
        ValueError: the row is not one that was ever written.
    """
    data = parse_canonical(row.data)
    at = datetime.strptime(row.at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return Entry(index, at, row.actor, row.kind, row.object, data, row.leaf(index))


def parse_canonical(text: str) -> dict[str, Any]:
    """The object of a canonical JSON text.

    Raises:
        ValueError: no JSON, no object, or not the canonical spelling of it.
    """
    import rfc8785

    try:
        value = json.loads(text, parse_int=_number, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict) or rfc8785.dumps(value) != text.encode():
        raise ValueError("not canonical JSON")
    return value


def moment(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _text(field_name: str, kind: str, value: str) -> str:
    about = f"the {field_name} of a '{kind}' event"
    if not isinstance(value, str) or not value.strip():
        raise _wrong(f"{about} is empty", f"say which {field_name} it was")
    if len(value) > MAXIMUM_TEXT:
        raise _wrong(f"{about} has {len(value)} characters", f"shorten it to {MAXIMUM_TEXT}; data may hold the rest")
    if any(ord(one) < 0x20 or 0x7F <= ord(one) < 0xA0 or 0xD800 <= ord(one) < 0xE000 for one in value):
        raise _wrong(f"{about} has control characters", "remove them")
    return value


def _data(kind: str, value: dict[str, Any]) -> str:
    import rfc8785

    about = f"the data of a '{kind}' event"
    try:
        text = rfc8785.dumps(value)
    except ValueError as error:
        raise _wrong(f"{about} cannot be written as JSON: {error}", "use texts, numbers, lists and mappings") from None
    except RecursionError:
        raise _wrong(f"{about} is nested too deeply", "store it as an artifact and log its digest") from None
    if len(text) > MAXIMUM_DATA:
        raise _wrong(
            f"{about} has {len(text)} bytes", f"store it as an artifact and log its digest; {MAXIMUM_DATA} fit"
        )
    return text.decode()


def _string(text: str) -> str:
    # RFC 8785 and this agree on every text: short escapes for \b \t \n \f \r, \u00xx for other control characters.
    return json.dumps(text, ensure_ascii=False)


def _number(digits: str) -> int | float:
    # A float such as 1e17 is written with its digits; read as a whole number it could not be written again.
    return int(digits) if len(digits) < 18 and abs(int(digits)) <= _LARGEST else float(digits)


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _wrong(what: str, next_step: str) -> AuditInputError:
    return AuditInputError(what, next_step=next_step)
