"""What must not be used: artifacts a person or a failed verification has set aside, until a person releases them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maestro.artifacts import ArtifactStore, RecordError, keys
from maestro.errors import InputError


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
        return cls(**{name: document[name] for name in cls.__slots__})


class Quarantine:
    """What is set aside in one artifact store."""

    def __init__(self, store: ArtifactStore) -> None:
        self._objects = store.objects

    def add(self, entry: Quarantined) -> Quarantined:
        """Sets ``entry`` aside; what is there already keeps its first reason, and is what is returned."""
        data = json.dumps(entry.to_json(), sort_keys=True).encode()
        if not self._objects.create(keys.evidence_quarantine(entry.digest), data):
            return self.of(entry.digest) or entry
        return entry

    def of(self, digest: str) -> Quarantined | None:
        """Why ``digest`` must not be used; None when it may be.

        Raises:
            RecordError: something is there, but damaged; then it must not be used either.
        """
        found = self._objects.read(keys.evidence_quarantine(digest))
        return None if found is None else _decode(digest, found[0])

    def release(self, digest: str) -> Quarantined:
        """Lets ``digest`` be used again; what it was set aside for.

        Raises:
            InputError: it is not in quarantine.
        """
        found = self._objects.read(keys.evidence_quarantine(digest))
        if found is None:
            raise InputError(
                f"{digest} is not in quarantine", next_step="see what is: maestro evidence quarantine --list"
            )
        try:
            entry = _decode(digest, found[0])
        except RecordError:
            entry = Quarantined(digest, digest, "its entry was damaged", "unknown", "")
        self._objects.delete(keys.evidence_quarantine(digest))
        return entry

    def all(self) -> list[Quarantined]:
        """Everything in quarantine, oldest first."""
        found = []
        for info in self._objects.under(f"{keys.EVIDENCE}/quarantine/"):
            digest = keys.name_of(info.key.rsplit("/", 1)[-1].removesuffix(".json")) or "?"
            data = self._objects.read(info.key)
            if data is not None:
                found.append(_decode(digest, data[0]))
        return sorted(found, key=lambda one: one.at)


def _decode(digest: str, data: bytes) -> Quarantined:
    try:
        return Quarantined.from_json(json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(
            f"the quarantine entry of {digest} is damaged, so it stays in quarantine",
            next_step=f"maestro evidence quarantine {digest} --release --reason TEXT",
        ) from error
