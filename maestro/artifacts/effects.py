"""The journal of outside effects: at-least-once execution, exactly-once publication."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from maestro.artifacts import keys
from maestro.artifacts.errors import RecordError
from maestro.artifacts.records import SCHEMA, StepRecord, decode, encode
from maestro.artifacts.store import ArtifactStore

EffectState: TypeAlias = Literal["absent", "started", "done"]

_STARTED = "started"
_DONE = "done"


class EffectJournal:
    """Which outside effects have begun and which are done, durable before each call returns.

    ``started`` without ``done`` means nobody knows whether it happened: the effect must be probed, or a person asked.

    Args:
        store: holds the journal; every worker that may run the step must use the same one.
    """

    def __init__(self, store: ArtifactStore) -> None:
        self._objects = store.objects

    def state(self, key: str) -> EffectState:
        """How far the effect under this idempotency key is."""
        if self._objects.info(keys.effect(key, _DONE)) is not None:
            return "done"
        return "absent" if self._objects.info(keys.effect(key, _STARTED)) is None else "started"

    def start(self, key: str, about: Mapping[str, Any]) -> bool:
        """Claim the effect; False when somebody already has, and then it must not be performed.

        Args:
            key: the idempotency key.
            about: what a person needs to find out whether it happened; JSON types, no secrets.

        Raises:
            RecordError: ``about`` is no JSON.
        """
        if self._objects.info(keys.effect(key, _DONE)) is not None:
            return False
        try:
            entry = {"schema": SCHEMA, "claim": os.urandom(16).hex(), "about": dict(about)}
            data = json.dumps(entry, allow_nan=False).encode("ascii")
        except (TypeError, ValueError) as error:
            raise RecordError(
                f"what effect '{key}' is about cannot be recorded: {error}",
                next_step="describe it with strings, finite numbers, lists and objects only",
            ) from error
        if self._objects.create_durably(keys.effect(key, _STARTED), data):
            return True
        # When the answer to a remote write is lost, it is sent again and meets the entry it wrote itself.
        found = self._objects.read(keys.effect(key, _STARTED))
        return found is not None and found[0] == data

    def about(self, key: str) -> Mapping[str, Any]:
        """What :meth:`start` was told; empty when it was not started or the entry is damaged."""
        found = self._objects.read(keys.effect(key, _STARTED))
        try:
            about = json.loads(found[0])["about"] if found else {}
        except (ValueError, KeyError, TypeError):
            about = {}
        return about if isinstance(about, dict) else {}

    def done(self, key: str, record: StepRecord) -> None:
        """Write down that the effect happened, with what the step did."""
        for artifact in record.artifacts():
            # Other steps can be run again when their bytes are lost in a power cut; this one must not be.
            self._objects.make_durable(keys.cas(artifact.sha256))
        self._objects.replace_durably(keys.effect(key, _DONE), encode(record))

    def finished(self, key: str) -> StepRecord | None:
        """The record of an effect that is done; None when it is not.

        Raises:
            RecordError: it is done, but its record cannot be read; it must not be performed again unasked.
        """
        found = self._objects.read(keys.effect(key, _DONE))
        if found is None:
            return None
        try:
            return decode(found[0])
        except RecordError as error:
            # Fail closed: taking a damaged entry for none would do the effect twice.
            raise RecordError(
                f"effect '{key}' is done, but its record in the artifact store {self._objects.url} cannot be read: "
                f"{error.what}",
                next_step="find out whether it really happened; only if it did not, clear it and retry the run",
            ) from error

    def clear(self, key: str) -> None:
        """Forget the effect, because a person or a probe found that it did not happen."""
        # This order: a crash in between leaves "started", which still has to be asked about.
        self._objects.delete_durably(keys.effect(key, _DONE))
        self._objects.delete_durably(keys.effect(key, _STARTED))
