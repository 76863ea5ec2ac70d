"""Makes the advisory database anew from its sources and puts it in place whole."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from maestro.vulnerabilities import moments
from maestro.vulnerabilities.advisory import Advisory
from maestro.vulnerabilities.database import FILE, SCHEMA, SourceInfo
from maestro.vulnerabilities.errors import AdvisoryDatabaseError

_TABLES = """
pragma journal_mode = off;
pragma synchronous = off;
create table meta (key text primary key, value text not null) without rowid;
create table advisory (
    number integer primary key, id text unique not null, sha256 text not null, modified text not null, published text,
    withdrawn integer not null, names text not null, summary text not null, vectors text not null, word text,
    nameless integer not null
);
create table package (
    ecosystem text not null, release text not null, name text not null, advisory integer not null, detail text not null
);
create table coverage (ecosystem text not null, release text not null, packages integer not null);
"""
_FINISH = """
create index package_name on package (name, ecosystem);
insert into coverage select ecosystem, release, count(distinct name) from package group by 1, 2;
analyze;
"""


def build(folder: Path, advisories: Iterable[Advisory], sources: Iterable[SourceInfo], *, now: datetime) -> Path:
    """Writes ``folder``'s database from ``advisories``; the file there is replaced when the new one is complete.

    Of two advisories with one id the later modified one counts. Withdrawn ones are counted and not matched.

    Returns:
        The file.

    Raises:
        AdvisoryDatabaseError: there are no advisories; the folder cannot be written. The old file is as it was.
        AdvisoryError: from reading ``advisories``, likewise.
    """
    partial: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{FILE}.", suffix=".partial")
        os.close(handle)
        partial = Path(name)
        with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
            _fill(connection, advisories, list(sources), now)
        _durable(partial)
        return partial.replace(folder / FILE)
    except (OSError, sqlite3.Error) as error:
        raise AdvisoryDatabaseError(
            f"the advisory database cannot be written to '{folder}': {error}",
            next_step="make the folder writable, or name another one",
        ) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def renew(file: Path, sources: Iterable[SourceInfo]) -> None:
    """Notes in an existing database that its sources have not changed; in one transaction."""
    try:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("update meta set value = ? where key = 'sources'", (_sources(sources),))
    except sqlite3.Error as error:
        raise AdvisoryDatabaseError(f"the advisory database '{file}' cannot be written: {error}") from error


def _fill(
    connection: sqlite3.Connection, advisories: Iterable[Advisory], sources: list[SourceInfo], now: datetime
) -> None:
    connection.executescript(_TABLES)
    connection.execute("begin")
    for advisory in advisories:
        _add(connection, advisory)
    (count, withdrawn, nameless) = connection.execute(
        "select count(*), total(withdrawn), total(nameless) from advisory"
    ).fetchone()
    if count == withdrawn:
        raise AdvisoryDatabaseError(
            f"there are no advisories in {', '.join(one.place for one in sources) or 'the sources'}",
            next_step="name a folder of OSV files, or a server that has {ecosystem}/all.zip",
        )
    # A date in the future would keep the database young for ever.
    (newest,) = connection.execute("select max(min(modified, ?)) from advisory", (moments.write(now),)).fetchone()
    meta = {
        "schema": SCHEMA,
        "digest": _digest(connection),
        "modified": newest,
        "built": moments.write(now),
        "advisories": str(int(count - withdrawn)),
        "withdrawn": str(int(withdrawn)),
        "nameless": str(int(nameless)),
        "sources": _sources(sources),
    }
    connection.executemany("insert into meta values (?, ?)", meta.items())
    connection.execute("commit")
    connection.executescript(_FINISH)


def _add(connection: sqlite3.Connection, advisory: Advisory) -> None:
    modified = moments.write(advisory.modified)
    found = connection.execute("select number, modified, sha256 from advisory where id = ?", (advisory.id,)).fetchone()
    if found is not None:
        number, other, sha256 = found
        # The digest decides between equal dates, so that the order of the sources never matters.
        if (other, sha256) >= (modified, advisory.sha256):
            return
        connection.execute("delete from package where advisory = ?", (number,))
        connection.execute("delete from advisory where number = ?", (number,))
    number = connection.execute(
        "insert into advisory (id, sha256, modified, published, withdrawn, names, summary, vectors, word, nameless)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            advisory.id,
            advisory.sha256,
            modified,
            moments.write(advisory.published) if advisory.published else None,
            advisory.withdrawn,
            json.dumps(advisory.names),
            advisory.summary,
            json.dumps(advisory.vectors),
            advisory.word,
            advisory.nameless,
        ),
    ).lastrowid
    if advisory.withdrawn:
        return
    connection.executemany(
        "insert into package values (?, ?, ?, ?, ?)",
        [
            (one.ecosystem, one.release, one.name, number, _detail(one.versions, one.ranges, one.vectors, one.git))
            for one in advisory.affected
        ],
    )


def _detail(*parts: object) -> str:
    return json.dumps(parts, separators=(",", ":"), ensure_ascii=False)


def _digest(connection: sqlite3.Connection) -> str:
    digest = hashlib.sha256()
    for identifier, sha256 in connection.execute("select id, sha256 from advisory order by id"):
        digest.update(f"{identifier}\0{sha256}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _sources(sources: Iterable[SourceInfo]) -> str:
    return json.dumps([asdict(one) for one in sources])


def _durable(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
