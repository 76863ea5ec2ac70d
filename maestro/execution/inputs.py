"""Which files a step depends on, and one digest over them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from pathspec import GitIgnoreSpec

from maestro.project.revision import FileEntry


@lru_cache(maxsize=1024)
def _spec(globs: tuple[str, ...]) -> GitIgnoreSpec:
    # A leading slash anchors a pattern at the top, as people expect of `src/**` and of `*.md` alike.
    anchored = (
        ("!/" if glob.startswith("!") else "/") + glob.removeprefix("!").removeprefix("./").lstrip("/")
        for glob in globs
    )
    return GitIgnoreSpec.from_lines(anchored)


def matches(paths: Iterable[str], globs: Sequence[str]) -> Iterator[str]:
    """The ``paths`` that match; ``**`` crosses folders, a folder stands for all in it, ``!glob`` takes away."""
    return iter(_spec(tuple(globs)).match_files(paths))


def inputs_digest(files: Mapping[str, FileEntry], globs: Sequence[str] | None) -> tuple[str, int]:
    """One sha256 over path, mode and content of the files that match, and how many they are.

    Args:
        files: the revision's files.
        globs: None for all of them.
    """
    chosen = sorted(files) if globs is None else sorted(matches(files, globs))
    digest = hashlib.sha256()
    for path in chosen:
        entry = files[path]
        digest.update(f"{entry.mode} {entry.blob} {path}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest(), len(chosen)
