"""What GitHub calls the things that were made there, so that they are changed and not made again."""

from __future__ import annotations

from typing import Protocol


class Memory(Protocol):
    """Names given by GitHub, under our own."""

    def recall(self, key: str) -> str | None:
        """The name noted last, if any."""
        ...

    def remember(self, key: str, value: str) -> None:
        """Notes a name."""
        ...
