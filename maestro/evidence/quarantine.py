"""What must not be used: artifacts a person or a failed verification has set aside, until a person releases them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from maestro.artifacts import ArtifactStore, keys


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Why something must not be used.

    Args:
        digest: ``<algorithm>:<hex>`` of it.
        name: how people name it.
        reason: one sentence; names the statement that failed, when one did.
        by: who set it aside; ``maestro`` when its evidence did not verify.
        at: RFC 3339.
        revision: the revision it was noticed with.
        step: the step that made it, when that is known.
    """

    digest: str
    name: str
    reason: str
    by: str
    at: str
    revision: str | None = None
    step: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Quarantined:
        """What ``document`` describes. Raises KeyError or TypeError when it describes nothing of the kind."""
        fields = {name: document[name] for name in cls.__slots__}
        if not all(isinstance(value, str) or (value is None and name in _OPTIONAL) for name, value in fields.items()):
            raise TypeError("a member is no text")
        return cls(**fields)


_OPTIONAL = ("revision", "step")


class Quarantine:
    """What is set aside in one artifact store.

    Args:
        logged: what the audit log says last of a digest, when that is that it was set aside. So an entry that somebody
            took out of the store still counts.
    """

    def __init__(
        self, store: ArtifactStore, logged: Callable[[str], Quarantined | None] = lambda _digest: None
    ) -> None:
        self._objects = store.objects
        self._logged = logged

    def add(self, entry: Quarantined) -> Quarantined:
        """Sets ``entry`` aside; what is there already keeps its first reason, and is what is returned."""
        data = json.dumps(entry.to_json(), sort_keys=True).encode()
        if not self._objects.create(keys.evidence_quarantine(entry.digest), data):
            return self.of(entry.digest) or entry
        return entry

    def of(self, digest: str) -> Quarantined | None:
        """Why ``digest`` must not be used; None when it may be. A damaged entry counts, and says that it is damaged."""
        found = self._objects.read(keys.evidence_quarantine(digest))
        return self._logged(digest) if found is None else _decode(digest, found[0])

    def delete(self, digest: str) -> None:
        """Lets ``digest`` be used again, as far as the store says; the audit log must say so before."""
        self._objects.delete(keys.evidence_quarantine(digest))

    def all(self) -> list[Quarantined]:
        """Every entry of the store, oldest first."""
        found = []
        for info in self._objects.under(f"{keys.EVIDENCE}/quarantine/"):
            digest = keys.name_of(info.key.rsplit("/", 1)[-1].removesuffix(".json")) or "?"
            data = self._objects.read(info.key)
            if data is not None:
                found.append(_decode(digest, data[0]))
        return sorted(found, key=lambda one: (one.at, one.digest))


def _decode(digest: str, data: bytes) -> Quarantined:
    try:
        found = Quarantined.from_json(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        found = None
    if found is None or found.digest != digest:
        return Quarantined(
            digest, digest, "its quarantine entry is damaged, so it stays set aside", "unknown", "unknown"
        )
    return found
