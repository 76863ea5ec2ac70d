"""Fetches `{ecosystem}/all.zip` archives by conditional requests (RFC 9110, section 13)."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from maestro.vulnerabilities.database import SourceInfo
from maestro.vulnerabilities.errors import AdvisoryDatabaseError

if TYPE_CHECKING:
    import httpx

ARCHIVE_BYTES = 4 * 2**30
"""The largest archive that is fetched; npm's, the largest one, has a few hundred megabytes."""
_TIMEOUT_SECONDS = 60.0
_NEXT = "check the address and the network; the old database is as it was"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one archive.

    Args:
        file: the archive; when it has changed, a partial file beside its final place, which the caller moves there.
        changed: the server sent a new one.
        source: what to remember of it.
    """

    file: Path
    changed: bool
    source: SourceInfo


def shown(url: str) -> str:
    """``url`` without credentials, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def archive_url(base: str, ecosystem: str) -> str:
    """Where an ecosystem's archive is; a query of ``base`` (a signature) is kept."""
    parts = urlsplit(base)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{quote(ecosystem)}/all.zip").geturl()


def fetch(
    client: httpx.Client, url: str, place: Path, known: SourceInfo | None, *, now: str, limit: int = ARCHIVE_BYTES
) -> Fetched:
    """Gets the archive at ``url``, unless the one at ``place`` is still current.

    Raises:
        AdvisoryDatabaseError: the server cannot be reached, refuses, or sends too much.
    """
    import httpx

    conditions = {}
    if known is not None and known.sha256 and _sha256(place) == known.sha256:
        if known.etag:
            conditions["If-None-Match"] = known.etag
        elif known.last_modified:
            conditions["If-Modified-Since"] = known.last_modified
    try:
        with client.stream("GET", url, headers=conditions, timeout=_TIMEOUT_SECONDS) as answer:
            if known is not None and conditions and answer.status_code == httpx.codes.NOT_MODIFIED:
                kept = SourceInfo(shown(url), now, known.etag, known.last_modified, known.sha256)
                return Fetched(place, False, kept)
            if answer.status_code != httpx.codes.OK:
                raise AdvisoryDatabaseError(f"{shown(url)} answered {answer.status_code}", next_step=_NEXT)
            file, sha256 = _save(answer, place, limit, shown(url))
            headers = answer.headers
            source = SourceInfo(shown(url), now, headers.get("etag", ""), headers.get("last-modified", ""), sha256)
            return Fetched(file, True, source)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # What the library says may hold the address with its credentials.
        why = type(error).__name__
        raise AdvisoryDatabaseError(f"{shown(url)} cannot be fetched: {why}", next_step=_NEXT) from None


def _save(answer: httpx.Response, place: Path, limit: int, url: str) -> tuple[Path, str]:
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.", suffix=".partial")
    file, digest, size = Path(name), hashlib.sha256(), 0
    try:
        with os.fdopen(handle, "wb") as opened:
            for chunk in answer.iter_bytes(2**20):
                size += len(chunk)
                if size > limit:
                    raise AdvisoryDatabaseError(f"{url} has more than {limit:,} bytes", next_step=_NEXT)
                digest.update(chunk)
                opened.write(chunk)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return file, digest.hexdigest()


def _sha256(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return None
