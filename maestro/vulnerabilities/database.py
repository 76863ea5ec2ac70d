"""The advisory database: one SQLite file that is replaced whole, never changed."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from maestro.vulnerabilities import moments
from maestro.vulnerabilities.advisory import Affected
from maestro.vulnerabilities.errors import AdvisoryDatabaseError
from maestro.vulnerabilities.report import DatabaseInfo

FILE = "advisories.sqlite"
SCHEMA = "1"
UPDATE = "run `maestro vulns update`"


@dataclass(frozen=True, slots=True)
class Entry:
    """One package of one advisory in force.

    Args:
        names: other ids of the advisory.
        vectors: CVSS; the package's own where it has some.
        word: the database's own word for the severity.
    """

    id: str
    names: tuple[str, ...]
    modified: str
    published: str | None
    summary: str
    vectors: tuple[str, ...]
    word: str | None
    affected: Affected


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Where advisories came from.

    Args:
        place: a path, or a URL without credentials.
        checked: when it was last seen to be unchanged or fetched anew, RFC 3339.
        etag, last_modified: what the server said of the archive, for the next conditional request (RFC 9110).
        sha256: of the archive; empty for a folder.
    """

    place: str
    checked: str
    etag: str = ""
    last_modified: str = ""
    sha256: str = ""


class AdvisoryDatabase:
    """An opened database, read only; close it, or use it in ``with``. For any one thread at a time.

    Args:
        place: its folder, or the file itself.

    Raises:
        AdvisoryDatabaseError: there is none, it is damaged, or of another version of Maestro.
    """

    def __init__(self, place: Path) -> None:
        self.file = place / FILE if place.is_dir() else place
        if not self.file.is_file():
            raise AdvisoryDatabaseError(f"there is no advisory database at '{place}'", next_step=UPDATE)
        try:
            address = f"{self.file.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            # One transaction for all questions: SQLite would lock and check the file for each of them otherwise.
            self._connection.execute("begin")
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        try:
            self._read_meta()
        except BaseException:
            self.close()
            raise

    def _read_meta(self) -> None:
        meta = dict(self._rows("select key, value from meta"))
        if meta.get("schema") != SCHEMA:
            raise AdvisoryDatabaseError(
                f"the advisory database '{self.file}' was made by another version of Maestro", next_step=UPDATE
            )
        try:
            self.sources = tuple(SourceInfo(**one) for one in json.loads(meta["sources"]))
            self.info = DatabaseInfo(
                digest=meta["digest"],
                modified=meta["modified"],
                built=meta["built"],
                advisories=int(meta["advisories"]),
                sources=tuple(one.place for one in self.sources),
            )
            self.withdrawn, self.nameless = int(meta["withdrawn"]), int(meta["nameless"])
        except (KeyError, ValueError, TypeError) as error:
            raise self._damaged(error) from error
        self._covered = frozenset(self._rows("select ecosystem, release from coverage where packages > 0"))

    def __enter__(self) -> AdvisoryDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def age(self, now: datetime) -> timedelta:
        """How long ago its newest advisory was written; never negative."""
        return max(now - moments.parse(self.info.modified), timedelta(0))

    def covers(self, ecosystem: str, release: str) -> bool:
        """Whether it holds any advisory for this release of an ecosystem."""
        return (ecosystem, release) in self._covered

    def coverage(self) -> dict[str, int]:
        """Ecosystem, with its release where there is one -> number of packages, sorted by name."""
        rows = self._rows("select ecosystem, release, packages from coverage order by 1, 2")
        return {f"{ecosystem}:{release}" if release else ecosystem: count for ecosystem, release, count in rows}

    def about(self, ecosystem: str, name: str) -> list[Entry]:
        """What is known about a package, for every release of the ecosystem."""
        rows = self._rows(
            "select a.id, a.names, a.modified, a.published, a.summary, a.vectors, a.word, p.release, p.detail"
            " from package p join advisory a on a.number = p.advisory"
            " where p.name = ? and p.ecosystem = ? order by a.id",
            (name, ecosystem),
        )
        return [_entry(ecosystem, name, row) for row in rows]

    def _rows(self, query: str, values: tuple[str, ...] = ()) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> AdvisoryDatabaseError:
        return AdvisoryDatabaseError(
            f"the advisory database '{self.file}' is damaged: {error}", next_step=f"delete it and {UPDATE}"
        )


def _entry(ecosystem: str, name: str, row: tuple[Any, ...]) -> Entry:
    identifier, names, modified, published, summary, vectors, word, release, detail = row
    versions, ranges, own, git = json.loads(detail)
    affected = Affected(
        ecosystem=ecosystem,
        release=release,
        name=name,
        versions=tuple(versions),
        ranges=tuple(tuple((kind, bound) for kind, bound in events) for events in ranges),
        vectors=tuple(own),
        git=git,
    )
    every = affected.vectors or tuple(json.loads(vectors))
    return Entry(identifier, tuple(json.loads(names)), modified, published, summary, every, word, affected)
