"""A delivery: one webhook as it was sent, and where it is in the inbox."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs

from maestro.inbox.errors import InboxError

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A webhook that was verified and is to be kept.

    Args:
        provider: ``github`` or ``gitlab``.
        delivery: the sender's id of it; with provider and project it names the delivery once and for all.
        event: the sender's name of its kind, such as ``push`` or ``Push Hook``.
        project: name of the registered project; empty when its repository belongs to none.
        headers: names in lower case; none of them secret.
        body: the bytes that were signed.
        trace: a ``traceparent`` of W3C Trace Context.

    Raises:
        InboxError: a text holds a NUL, which no database keeps.
    """

    provider: str
    delivery: str
    event: str
    project: str
    headers: Mapping[str, str]
    body: bytes
    trace: str

    def __post_init__(self) -> None:
        texts = (self.provider, self.delivery, self.event, self.project, self.trace, *self.headers.values())
        if any("\0" in text for text in texts):
            raise InboxError("a delivery's header holds a NUL", next_step="send it without")

    @property
    def payload(self) -> bytes:
        """The JSON text in the body, however it was wrapped.

        Raises:
            ValueError: the body is a form without exactly one field ``payload``.
        """
        return json_payload(self.headers.get("content-type", ""), self.body)

    @property
    def digest(self) -> str:
        """SHA-256 of the body, hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Delivery(NewDelivery):
    """A delivery in the inbox.

    Args:
        id: its position, from 1. Ids become visible in ascending order, so a reader may keep the last one it saw.
        received: when it was taken, UTC.
    """

    id: int
    received: datetime


@dataclass(frozen=True, slots=True)
class Headline:
    """A delivery without headers and body, for lists.

    Args:
        size: bytes of the body.
    """

    id: int
    provider: str
    delivery: str
    event: str
    project: str
    received: datetime
    trace: str
    size: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a delivery is.

    Args:
        new: False: it was there before.
        same: False: what was there before has another body; it was left as it is.
    """

    id: int
    new: bool
    same: bool = True


def json_payload(content_type: str, body: bytes) -> bytes:
    """The JSON text of a webhook's body; of a form, GitHub's other content type, the field ``payload``.

    Raises:
        ValueError: it is a form without exactly one such field, or not UTF-8.
    """
    if content_type.partition(";")[0].strip().lower() != FORM:
        return body
    fields = parse_qs(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=16)
    values = fields.get("payload", [])
    if len(values) != 1:
        raise ValueError("the form has no field 'payload', or several")
    return values[0].encode("utf-8")
