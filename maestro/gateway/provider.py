"""What the gateway needs to know of a sender of webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from maestro.gateway.envelope import Headers


class Provider(Protocol):
    """A sender. Its methods raise ``RefusedError`` for what cannot be right, before anything is believed."""

    @property
    def name(self) -> str:
        """As in the registry of projects, and in the path."""

    @property
    def kept(self) -> Sequence[str]:
        """Headers that go into the inbox, in lower case; none is secret."""

    def check(self, headers: Headers) -> None:
        """Whether the headers can be those of a signed webhook, before its body is read."""

    def signed(self, headers: Headers, body: bytes, secrets: Sequence[str], now: float) -> bool:
        """Whether one of the secrets signed it. Takes the same time whichever byte is wrong.

        Args:
            now: seconds since 1970.
        """

    def event(self, headers: Headers) -> str:
        """The sender's name of its kind."""

    def delivery(self, headers: Headers, body: bytes) -> str:
        """The sender's id of it, the same when it is sent again."""

    def repository(self, payload: Mapping[str, Any]) -> str:
        """``owner/name`` of the repository it is about; empty when it is about none."""


def text_at(payload: Mapping[str, Any], *names: str) -> str:
    """The text at a path of names in a payload; empty when there is none."""
    found: object = payload
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""
