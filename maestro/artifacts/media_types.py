"""The media type of a file, from its name alone and the same on every machine."""

from __future__ import annotations

from functools import cache
from mimetypes import MimeTypes

UNKNOWN = "application/octet-stream"

# Longest ending first: the specific name wins over the general one.
_BY_ENDING = (
    (".cdx.json", "application/vnd.cyclonedx+json"),
    (".cdx.xml", "application/vnd.cyclonedx+xml"),
    (".spdx.json", "application/spdx+json"),
    (".intoto.jsonl", "application/vnd.in-toto+json"),
    (".sarif.json", "application/sarif+json"),
    (".sarif", "application/sarif+json"),
    (".tar.gz", "application/gzip"),
    (".tgz", "application/gzip"),
    (".gz", "application/gzip"),
    (".zst", "application/zstd"),
    (".whl", "application/zip"),
    (".jsonl", "application/jsonl"),
    (".json", "application/json"),
    (".xml", "application/xml"),
    (".yaml", "application/yaml"),
    (".yml", "application/yaml"),
    (".md", "text/markdown"),
    (".log", "text/plain"),
    (".txt", "text/plain"),
)


@cache
def _standard() -> MimeTypes:
    # Only Python's own table: the machine's /etc/mime.types would make records differ between machines.
    return MimeTypes()


def guess(name: str) -> str:
    """The media type (RFC 6838) of a file called ``name``; ``application/octet-stream`` when nothing is known."""
    lowered = name.lower()
    for ending, media_type in _BY_ENDING:
        if lowered.endswith(ending):
            return media_type
    guessed, encoding = _standard().guess_type(lowered, strict=True)
    return guessed if guessed and not encoding else UNKNOWN
