"""A mirror's own settings: written by us, and put back when somebody changed them, since git obeys them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from maestro.mirror.address import Address

_log = logging.getLogger(__name__)

MIRROR = """\
[gc]
	auto = 0
	packRefs = false
[maintenance]
	auto = false
[core]
	hooksPath = /dev/null
	fsmonitor = false
"""


def quoted(value: str) -> str:
    """``value`` as git-config(1) quotes it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def settings_text(address: Address, *, bare: bool, sha256: bool = False) -> str:
    """The ``config`` of a repository whose origin is ``address``."""
    version = "1\n[extensions]\n\tobjectFormat = sha256" if sha256 else "0"
    return (
        f"[core]\n\tbare = {str(bare).lower()}\n\tfilemode = true\n\trepositoryformatversion = {version}\n"
        # Several processes write a large tree faster; below 200 files starting them costs more.
        "[checkout]\n\tworkers = 0\n\tthresholdForParallelism = 200\n[advice]\n\tdetachedHead = false\n"
        f'[remote "origin"]\n\turl = {quoted(address.url)}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
        f"{MIRROR if bare else ''}"
    )


def keep_settings(folder: Path, text: str) -> None:
    """Makes the ``config`` in ``folder`` say ``text`` again."""
    file = folder / "config"
    try:
        found = file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        found = None
    if found == text:
        return
    if found is not None:
        _log.warning(
            "the settings of the mirror %s were changed, or are of an earlier version; they are put back", folder
        )
    temporary = file.with_name(f"config.{os.getpid()}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)
