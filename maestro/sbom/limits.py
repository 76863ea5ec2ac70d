"""How much of a document from outside is read before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Above any of these a bill of materials is refused.

    Args:
        size: bytes; a document of this size or more is not even opened. 100,000 components take 40 to 60 million.
        depth: how deep arrays and objects may be nested; real documents stay below 20.
        components: how many it may list.
        text: characters of one name, version, licence or package URL.
        parts: values within one component, its properties and hashes included.
    """

    size: int = 100_000_000
    depth: int = 64
    components: int = 1_000_000
    text: int = 65_536
    parts: int = 100_000


LIMITS = Limits()
"""What is used unless somebody says otherwise."""
