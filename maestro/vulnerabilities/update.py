"""Brings the advisory database up to date, from a folder, an archive or a server of archives."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from maestro.vulnerabilities import moments
from maestro.vulnerabilities.archives import LIMITS, Limits, read_source
from maestro.vulnerabilities.build import build, renew
from maestro.vulnerabilities.database import FILE, AdvisoryDatabase, SourceInfo
from maestro.vulnerabilities.download import ARCHIVE_BYTES, Fetched, archive_url, fetch, shown
from maestro.vulnerabilities.errors import AdvisoryDatabaseError
from maestro.vulnerabilities.report import DatabaseInfo
from maestro.vulnerabilities.versions import ECOSYSTEMS

ARCHIVES = "archives"


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did.

    Args:
        changed: the content is another than before.
        fetched: archives the server sent; the others were still current.
    """

    file: Path
    info: DatabaseInfo
    changed: bool
    fetched: int = 0


def is_url(source: str) -> bool:
    """Whether ``source`` names a server."""
    return source.startswith(("http://", "https://"))


def update(
    folder: Path,
    source: str,
    *,
    ecosystems: Sequence[str] = ECOSYSTEMS,
    now: datetime | None = None,
    limits: Limits = LIMITS,
    archive_bytes: int = ARCHIVE_BYTES,
) -> Updated:
    """Makes the database in ``folder`` what ``source`` has: a folder of OSV files, a zip archive, or a base URL.

    Under a base URL stands ``{ecosystem}/all.zip`` for each of ``ecosystems``; archives that have not changed are not
    fetched again. Two updates at once wait for each other.

    Raises:
        AdvisoryError: a file or an archive of the source is refused.
        AdvisoryDatabaseError: the source cannot be reached or has no advisories, the folder cannot be written.
        In each case the database is as it was.
    """
    moment = now or datetime.now(UTC)
    with _alone(folder):
        before = _known(folder)
        if is_url(source):
            return _from_server(folder, source, ecosystems, before, moment, limits, archive_bytes)
        place = Path(source).expanduser()
        made = build(
            folder, read_source(place, limits), [SourceInfo(str(place.absolute()), moments.write(moment))], now=moment
        )
        return _updated(made, before)


def _from_server(
    folder: Path,
    base: str,
    ecosystems: Sequence[str],
    before: tuple[DatabaseInfo, tuple[SourceInfo, ...]] | None,
    now: datetime,
    limits: Limits,
    archive_bytes: int,
) -> Updated:
    import httpx

    known = {one.place: one for one in before[1]} if before else {}
    fetched: list[tuple[Fetched, Path]] = []
    try:
        with httpx.Client(follow_redirects=True) as client:
            for ecosystem in ecosystems:
                place = folder / ARCHIVES / f"{ecosystem.replace('/', '_')}.zip"
                url = archive_url(base, ecosystem)
                remembered = known.get(shown(url))
                got = fetch(client, url, place, remembered, now=moments.write(now), limit=archive_bytes)
                fetched.append((got, place))
        sources = [one.source for one, _ in fetched]
        file = folder / FILE
        if before and not any(one.changed for one, _ in fetched) and {one.place for one in sources} == set(known):
            renew(file, sources)
        else:
            every = chain.from_iterable(read_source(one.file, limits) for one, _ in fetched)
            file = build(folder, every, sources, now=now)
            for one, place in fetched:
                one.file.replace(place)
        return _updated(file, before, sum(one.changed for one, _ in fetched))
    finally:
        for one, place in fetched:
            if one.file != place:
                one.file.unlink(missing_ok=True)


def _updated(file: Path, before: tuple[DatabaseInfo, Iterable[SourceInfo]] | None, fetched: int = 0) -> Updated:
    with AdvisoryDatabase(file) as database:
        return Updated(file, database.info, before is None or before[0].digest != database.info.digest, fetched)


def _known(folder: Path) -> tuple[DatabaseInfo, tuple[SourceInfo, ...]] | None:
    # A damaged database is made anew; that is what an update is for.
    with suppress(AdvisoryDatabaseError), AdvisoryDatabase(folder) as database:
        return database.info, database.sources
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise AdvisoryDatabaseError(
            f"the advisory database cannot be written to '{folder}': {error.strerror}",
            next_step="make the folder writable, or name another one",
        ) from error
