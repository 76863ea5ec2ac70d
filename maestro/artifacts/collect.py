"""Garbage collection by age and reachability, and verification of everything stored."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from maestro.artifacts import keys, leftovers
from maestro.artifacts.artifact import StoredObject
from maestro.artifacts.errors import ArtifactMissingError, RecordError
from maestro.artifacts.record_store import RecordStore
from maestro.artifacts.records import StepRecord, UnknownSchemaError, decode
from maestro.artifacts.store import SAFETY_WINDOW, ArtifactStore
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.artifacts.objects import ObjectInfo

_FOLDERS_OF_RECORDS = (keys.CACHE, keys.RUNS, keys.REVISIONS, keys.EFFECTS)


@dataclass(frozen=True, slots=True)
class Collection:
    """What a collection deletes, or has deleted.

    Args:
        objects: content-addressed objects nothing names any more.
        bytes: their size together.
        records: keys of cache, run and revision records.
        planned: when this was found out, with time zone.
    """

    objects: tuple[StoredObject, ...]
    bytes: int
    records: tuple[str, ...]
    planned: datetime


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found.

    Args:
        checked: number of objects read.
        corrupt: digests of those that were damaged and are in quarantine now, sorted.
    """

    checked: int
    corrupt: tuple[str, ...]


def plan_collection(
    store: ArtifactStore,
    records: RecordStore,
    *,
    older_than: timedelta,
    keep_revisions: int | None,
    now: datetime | None = None,
) -> Collection:
    """What may go; changes nothing.

    Records go when nothing of their run or revision, or the cache record itself, was written within ``older_than``.
    Objects go when they are as old and no record that stays names them. Nothing younger than an hour ever goes.
    Signed evidence stays, with the reports it names, whatever its age. The journal of outside effects stays whole;
    without it a retried run would repeat them.

    Args:
        store: what to collect in.
        records: its records.
        older_than: the age.
        keep_revisions: that many latest revisions of each project stay with their runs, whatever their age; None: none.
        now: the time to count from; the clock's when None.

    Raises:
        InputError: a negative age or number.
        RecordError: a record was written by another version of Maestro, so what it names is unknown.
    """
    if older_than < timedelta(0) or (keep_revisions is not None and keep_revisions < 0):
        raise InputError("an age or a number of revisions to keep is negative", next_step="give 0 or more")
    now = now or datetime.now(UTC)
    before = now - max(older_than, SAFETY_WINDOW)
    listed = {folder: list(store.objects.under(folder)) for folder in _FOLDERS_OF_RECORDS}
    revisions = _by_folder(listed[keys.REVISIONS])
    latest = _latest_revisions(revisions, keep_revisions or 0)

    dropped = {info.key for info in listed[keys.CACHE] if info.last_modified < before}
    for folder, infos in revisions.items():
        if _newest(infos) < before and folder not in latest:
            dropped.update(info.key for info in infos)
    for infos in _by_folder(listed[keys.RUNS]).values():
        if _newest(infos) < before and not (latest and _is_of(records, infos, latest)):
            dropped.update(info.key for info in infos)
    # An effect's record names what it published; that is kept as long as a run's would be.
    dropped_or_old = dropped | {info.key for info in listed[keys.EFFECTS] if info.last_modified < before}
    kept = [info.key for infos in listed.values() for info in infos if info.key not in dropped_or_old]
    named = _named_by(store, kept) | _named_by_evidence(store)
    objects = tuple(
        sorted(
            (found for found in store.list() if found.last_modified < before and found.sha256 not in named),
            key=lambda found: found.sha256,
        )
    )
    return Collection(objects, sum(found.size for found in objects), tuple(sorted(dropped)), now)


def collect(store: ArtifactStore, collection: Collection) -> Collection:
    """Delete what was planned, except what has been written or named again since.

    Records go first: a crash in between leaves bytes without a record, never a record without its bytes.

    Returns:
        What was deleted.
    """
    before = collection.planned - SAFETY_WINDOW

    def delete_record(key: str) -> bool:
        info = store.objects.info(key)
        return info is not None and info.last_modified < before and store.objects.delete(key)

    gone = store.objects.each(delete_record, collection.records)
    deleted_records = tuple(key for key, deleted in zip(collection.records, gone, strict=True) if deleted)

    old_effects_name_nothing = {info.key for info in store.objects.under(keys.EFFECTS) if info.last_modified < before}
    remaining = [info.key for folder in _FOLDERS_OF_RECORDS for info in store.objects.under(folder)]
    named = _named_by(store, [key for key in remaining if key not in old_effects_name_nothing])
    named |= _named_by_evidence(store)

    def delete_object(found: StoredObject) -> bool:
        info = store.objects.info(keys.cas(found.sha256))
        if info is None or found.sha256 in named or info.last_modified >= before:
            return False
        return store.objects.delete(info.key)

    gone = store.objects.each(delete_object, collection.objects)
    deleted = tuple(found for found, is_gone in zip(collection.objects, gone, strict=True) if is_gone)
    if store.objects.folder is not None:
        leftovers.sweep(store.objects.folder, before)
    return Collection(deleted, sum(found.size for found in deleted), deleted_records, collection.planned)


def verify_all(store: ArtifactStore) -> Verification:
    """Read every object and compare its digest; damaged ones go to quarantine."""

    def is_sound(found: StoredObject) -> bool | None:
        try:
            return store.verify(found.sha256)
        except ArtifactMissingError:
            # Deleted since it was listed.
            return None

    everything = list(store.list())
    results = store.objects.each(is_sound, everything)
    corrupt = [found.sha256 for found, sound in zip(everything, results, strict=True) if sound is False]
    return Verification(sum(sound is not None for sound in results), tuple(sorted(corrupt)))


def _by_folder(infos: Iterable[ObjectInfo]) -> dict[str, list[ObjectInfo]]:
    folders: defaultdict[str, list[ObjectInfo]] = defaultdict(list)
    for info in infos:
        folders[info.key.rsplit("/", 1)[0]].append(info)
    return folders


def _newest(infos: Iterable[ObjectInfo]) -> datetime:
    return max(info.last_modified for info in infos)


def _latest_revisions(revisions: dict[str, list[ObjectInfo]], number: int) -> set[str]:
    """Folders of the ``number`` revisions of each project that were written last."""
    by_project: defaultdict[str, list[str]] = defaultdict(list)
    for folder in revisions:
        by_project[folder.rsplit("/", 1)[0]].append(folder)
    return {
        folder
        for folders in by_project.values()
        for folder in sorted(folders, key=lambda folder: _newest(revisions[folder]), reverse=True)[:number]
    }


def _is_of(records: RecordStore, infos: Iterable[ObjectInfo], revisions: set[str]) -> bool:
    """Whether the run with these record objects is of one of ``revisions`` (folders)."""
    for info in infos:
        record = _understood(records.store, info.key)
        if record is not None:
            return keys.revision_step(record.project, record.revision, "").rsplit("/", 1)[0] in revisions
    return False


def _named_by(store: ArtifactStore, record_keys: list[str]) -> set[str]:
    """Digests of everything these records name."""
    found = store.objects.each(lambda key: _understood(store, key), record_keys)
    return {artifact.sha256 for record in found if record for artifact in record.artifacts()}


def _named_by_evidence(store: ArtifactStore) -> set[str]:
    """Digests of the signed statements, and of what they name."""
    names = [info.key for info in store.objects.under(f"{keys.EVIDENCE}/revisions/")]
    return {sha256 for found in store.objects.each(lambda key: _entry_names(store, key), names) for sha256 in found}


def _entry_names(store: ArtifactStore, key: str) -> list[str]:
    found = store.objects.read(key)
    if found is None:
        return []
    try:
        document = json.loads(found[0])
        return [one["sha256"] for one in (document["bundle"], *document["names"])]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # Fail closed: what this entry names would look like garbage.
        raise RecordError(
            f"nothing can be collected: {key} in the artifact store {store.url} is damaged",
            next_step="remove that entry if its evidence is not needed, then collect again",
        ) from error


def _understood(store: ArtifactStore, key: str) -> StepRecord | None:
    if key.startswith(f"{keys.EFFECTS}/") and not key.endswith("/done.json"):
        return None
    found = store.objects.read(key)
    if found is None:
        return None
    try:
        return decode(found[0])
    except UnknownSchemaError as error:
        # Fail closed: what this record names would look like garbage.
        raise RecordError(
            f"nothing can be collected: {key} in the artifact store {store.url} has a format this version of "
            "Maestro does not know",
            next_step="collect with the newest version of Maestro that uses this store",
        ) from error
    except RecordError:
        # A damaged record names nothing anybody could fetch.
        return None
