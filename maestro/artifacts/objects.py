"""Objects by key, in a folder or in S3, Google or Azure storage: the one module that speaks obstore.

obstore's LocalStore writes to ``<name>#<n>`` beside the target and then links (create) or renames (overwrite), so a
key holds all of its bytes or does not exist; what a crash leaves behind ends in ``#<n>``, which it never lists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, from_url

from maestro.artifacts import durable, keys
from maestro.artifacts.address import folder_of, without_credentials
from maestro.artifacts.errors import ArtifactStoreError
from maestro.errors import InputError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

T = TypeVar("T")
R = TypeVar("R")

_REMOTE_REQUESTS_AT_ONCE = 16
_STREAM_CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says about an object.

    Args:
        key: where it is.
        size: bytes.
        last_modified: when it was last written, with time zone.
        version: changes when the object is written again (its ETag); None when the store has no such thing.
    """

    key: str
    size: int
    last_modified: datetime
    version: str | None


class Objects:
    """Objects by key.

    Args:
        backend: the obstore store.
        url: how errors name it; holds no credentials.
        folder: where it lies on this machine; None for a remote store.
    """

    def __init__(self, backend: ObjectStore, *, url: str, folder: Path | None) -> None:
        self._backend = backend
        self.url = url
        self.folder = folder

    @classmethod
    def open(cls, url: str, options: dict[str, Any]) -> Objects:
        """The store at ``url``; a folder is made when it is not there.

        Raises:
            InputError: the address is none.
            ArtifactStoreError: the folder cannot be made.
        """
        folder = folder_of(url)
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                return cls(LocalStore(folder), url=str(folder), folder=folder)
            except (OSError, BaseError) as error:
                raise ArtifactStoreError(
                    f"the artifact store folder {folder} cannot be made: {_first_line(error)}",
                    next_step="make it writable, or name another folder",
                ) from error
        shown = without_credentials(url)
        try:
            backend = from_url(
                url,
                retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=60)},
                **options,
            )
        except (BaseError, ValueError, TypeError) as error:
            raise InputError(
                f"the artifact store address {shown} cannot be used: {_first_line(error).replace(url, shown)}",
                next_step="give an absolute folder, or a URL that starts with s3://, gs:// or az://",
            ) from error
        return cls(backend, url=shown, folder=None)

    def info(self, key: str) -> ObjectInfo | None:
        """What is known about ``key``; None when there is nothing."""
        with self._telling("read"):
            try:
                return _info(obstore.head(self._backend, key))
            except FileNotFoundError:
                return None

    def read(self, key: str) -> tuple[bytes, ObjectInfo] | None:
        """The bytes under ``key``, in memory; None when there is nothing."""
        with self._telling("read"):
            try:
                answer = obstore.get(self._backend, key)
                return answer.bytes().to_bytes(), _info(answer.meta)
            except FileNotFoundError:
                return None

    def stream(self, key: str) -> tuple[Iterator[bytes], ObjectInfo] | None:
        """The bytes under ``key``, a few megabytes at a time; None when there is nothing."""
        with self._telling("read"):
            try:
                answer = obstore.get(self._backend, key)
            except FileNotFoundError:
                return None
            return self._chunks(answer), _info(answer.meta)

    def create(self, key: str, data: bytes) -> bool:
        """Write ``data`` if nothing is under ``key`` yet; False, and nothing is written, when something is."""
        with self._telling("written"):
            try:
                obstore.put(self._backend, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

    def replace(self, key: str, data: bytes | Iterable[bytes]) -> None:
        """Write ``data``, whatever is there; an error from an iterable leaves what was there before."""
        with self._telling("written"):
            obstore.put(self._backend, key, data, max_concurrency=4)

    def move(self, source: str, target: str) -> bool:
        """Move an object; False when it is already gone."""
        with self._telling("written"):
            try:
                obstore.rename(self._backend, source, target)
            except FileNotFoundError:
                return False
            return True

    def delete(self, key: str) -> bool:
        """Delete an object; False when it was already gone (a remote store does not say, and gives True)."""
        with self._telling("written"):
            try:
                obstore.delete(self._backend, key)
            except FileNotFoundError:
                return False
        return True

    def set_aside(self, seen: ObjectInfo) -> None:
        """Move a damaged object into quarantine, unless it was written again since it was ``seen``."""
        now = self.info(seen.key)
        if now is not None and now.version == seen.version:
            moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
            self.move(seen.key, f"{keys.quarantine(seen.key)}-{moment}")

    def create_durably(self, key: str, data: bytes) -> bool:
        """As :meth:`create`, and it survives a power cut."""
        # obstore never syncs a local file, so a folder's are written here; S3 answers only when it is durable.
        if self.folder is None:
            return self.create(key, data)
        with self._telling("written"):
            return durable.create(self.folder / key, data, self.folder / keys.STAGING)

    def replace_durably(self, key: str, data: bytes) -> None:
        """As :meth:`replace`, and it survives a power cut."""
        if self.folder is None:
            self.replace(key, data)
            return
        with self._telling("written"):
            durable.replace(self.folder / key, data, self.folder / keys.STAGING)

    def make_durable(self, key: str) -> None:
        """Let an object that is there survive a power cut; nothing happens when it is not there."""
        if self.folder is not None:
            with self._telling("written"):
                durable.sync_file(self.folder / key)

    def delete_durably(self, key: str) -> None:
        """As :meth:`delete`, and it survives a power cut."""
        if self.folder is None:
            self.delete(key)
            return
        with self._telling("written"):
            durable.delete(self.folder / key)

    def under(self, prefix: str) -> Iterator[ObjectInfo]:
        """Everything under the folder ``prefix``, in no order."""
        with self._telling("listed"):
            for batch in obstore.list(self._backend, prefix):
                for meta in batch:
                    yield _info(meta)

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly in ``prefix``, sorted."""
        with self._telling("listed"):
            found = obstore.list_with_delimiter(self._backend, prefix)["common_prefixes"]
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in found)

    def each(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """``function`` of every item, in order; at once where a request has to travel."""
        if self.folder is not None or len(items) < 2:
            return [function(item) for item in items]
        with ThreadPoolExecutor(min(len(items), _REMOTE_REQUESTS_AT_ONCE)) as pool:
            return list(pool.map(function, items))

    def _chunks(self, answer: obstore.GetResult) -> Iterator[bytes]:
        with self._telling("read"):
            for chunk in answer.stream(min_chunk_size=_STREAM_CHUNK):
                yield bytes(chunk)

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        _refuse_after_fork()
        try:
            yield
        except (BaseError, OSError) as error:
            raise ArtifactStoreError(
                f"the artifact store {self.url} cannot be {what}: {_first_line(error)}",
                next_step="check that it is there, that its disk is not full and that you may use it",
            ) from error


_process_of_runtime: list[int] = []


def _refuse_after_fork() -> None:
    # obstore's threads do not survive a fork and every call would wait for them for ever.
    # They belong to the process, so what remembers it does too.
    if not _process_of_runtime:
        _process_of_runtime.append(os.getpid())
    elif _process_of_runtime[0] != os.getpid():
        raise ArtifactStoreError(
            f"process {os.getpid()} was forked from {_process_of_runtime[0]} after that one had used an artifact store",
            next_step="fork before the first use of a store, or start the process afresh",
        )


def _first_line(error: BaseException) -> str:
    # The rest is obstore's debug form; a signed request carries its signature in the query.
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"(https?://[^\s?]*)\?\S*", r"\1", line)


def _info(meta: ObjectMeta) -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta["last_modified"], meta["e_tag"])
