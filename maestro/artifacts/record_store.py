"""Step records in the artifact store: the step cache, what a run did, and what a revision has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from maestro.artifacts import keys
from maestro.artifacts.errors import RecordError
from maestro.artifacts.records import StepRecord, UnknownSchemaError, decode, encode
from maestro.artifacts.store import SAFETY_WINDOW, ArtifactStore

if TYPE_CHECKING:
    from maestro.artifacts.objects import ObjectInfo


class RecordStore:
    """Step records, shared by everything that uses the same artifact store.

    Args:
        store: holds the records beside the bytes they name.
    """

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store

    def cached(self, key: str) -> StepRecord | None:
        """The record cached under ``key``, if it and everything it names are there.

        A damaged record goes to quarantine and one whose bytes are gone is deleted, so that the step's next record
        can take its place. The bytes are not read; they are verified when they are fetched.
        """
        path = keys.cache(key)
        found = self._read(path)
        if found is None:
            return None
        record, info = found
        if self.store.absent(record.artifacts()):
            self.forget_cache(key)
            return None
        if datetime.now(UTC) - info.last_modified > SAFETY_WINDOW / 2:
            # Young again: collection goes by age, and a record that is in use is not old.
            self.store.objects.replace(path, encode(record))
        return record

    def save_cache(self, key: str, record: StepRecord) -> None:
        """Keep ``record`` under ``key`` unless there is one already: the first writer wins, and losing is fine."""
        self.store.objects.create(keys.cache(key), encode(record))

    def forget_cache(self, key: str) -> None:
        """Drop the record under ``key``, so that the step runs again."""
        self.store.objects.delete(keys.cache(key))

    def save(self, record: StepRecord, *, of_revision: bool = True) -> None:
        """Keep ``record`` for its run, and as the latest of its revision; each replaces what was there, whole."""
        data = encode(record)
        self.store.objects.replace(keys.run_step(record.run_id, record.step), data)
        if not of_revision:
            return
        self.store.objects.replace(keys.revision_step(record.project, record.revision, record.step), data)

    def of_run(self, run_id: str) -> list[StepRecord]:
        """What the steps of a run did, by the time they started. Damaged records are left out."""
        return self._in(f"{keys.RUNS}/{keys.part(run_id)}")

    def of_run_step(self, run_id: str, step: str) -> StepRecord | None:
        """What ``step`` did in a run."""
        return self._at(keys.run_step(run_id, step))

    def of_revision(self, project: str, revision: str, step: str) -> StepRecord | None:
        """What ``step`` last did for a revision."""
        return self._at(keys.revision_step(project, revision, step))

    def steps_of_revision(self, project: str, revision: str) -> list[StepRecord]:
        """What every step last did for a revision, by the time they started."""
        return self._in(f"{keys.REVISIONS}/{keys.part(project)}/{keys.part(revision)}")

    def revisions(self, project: str) -> list[str]:
        """Revisions of a project that have records, sorted by name."""
        folder = f"{keys.REVISIONS}/{keys.part(project)}"
        return self._names(folder, "revision")

    def runs(self) -> list[str]:
        """Runs that have records, sorted by id."""
        return self._names(keys.RUNS, "run_id")

    def _names(self, folder: str, member: str) -> list[str]:
        names: list[str] = []
        for encoded in self.store.objects.folders(folder):
            name = keys.name_of(encoded)
            if name is None:
                # It was too long for a path part; any record inside knows it.
                name = next((getattr(record, member) for record in self._in(f"{folder}/{encoded}")), None)
            if name is not None:
                names.append(name)
        return sorted(names)

    def _in(self, folder: str) -> list[StepRecord]:
        paths = [info.key for info in self.store.objects.under(folder) if info.key.endswith(".json")]
        found = self.store.objects.each(self._at, paths)
        return sorted((record for record in found if record), key=lambda record: (record.started, record.step))

    def _at(self, path: str) -> StepRecord | None:
        found = self._read(path)
        return found[0] if found else None

    def _read(self, path: str) -> tuple[StepRecord, ObjectInfo] | None:
        found = self.store.objects.read(path)
        if found is None:
            return None
        data, info = found
        try:
            return decode(data), info
        except UnknownSchemaError:
            # Another version can still read it; here it is as if it were not there.
            return None
        except RecordError:
            self.store.objects.set_aside(info)
            return None
