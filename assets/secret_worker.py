"""A program of its own: looks for secrets in files with detect-secrets, whose settings are global to a process.

Called as ``python -I -X utf8 secret_worker.py REQUEST ANSWER`` and imports nothing of Maestro, so that nothing in the
folder it looks at can take the place of a module. REQUEST is JSON: ``{"root", "files", "scratch", "limit"}``. ANSWER:
``{"version", "findings": [{"file", "line", "type", "hashed"}], "unread": [{"file", "reason"}], "binary": n}``. The
secrets themselves never leave this process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LOOKED_AT = 8192


def main(arguments: list[str]) -> int:
    """Answers one request."""
    request = json.loads(Path(arguments[0]).read_text("utf-8"))
    answer = answered(Path(request["root"]), request["files"], Path(request["scratch"]), request["limit"])
    Path(arguments[1]).write_text(json.dumps(answer), "utf-8")
    return 0


def answered(root: Path, files: list[str], scratch: Path, limit: int) -> dict[str, Any]:
    """What was found in ``files`` beneath ``root``."""
    from detect_secrets import __version__
    from detect_secrets.settings import default_settings

    findings: list[dict[str, Any]] = []
    unread: list[dict[str, str]] = []
    binary = 0
    with default_settings():
        for name in files:
            try:
                place = _readable(root / name, scratch, limit)
                if place is None:
                    binary += 1
                else:
                    findings += _found(name, place)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong with a file, it was not looked at
                unread.append({"file": name, "reason": _why(error)})
    return {"version": __version__.VERSION, "findings": findings, "unread": unread, "binary": binary}


def _readable(place: Path, scratch: Path, limit: int) -> Path | None:
    """The file as detect-secrets can read it, which passes over text that is not UTF-8; None: it is no text."""
    size = place.stat().st_size
    with place.open("rb") as opened:
        if b"\0" in opened.read(_LOOKED_AT):
            return None
        if size > limit:
            raise ValueError(f"it has {size:,} bytes, and {limit:,} are looked at")
        opened.seek(0)
        data = opened.read()
    try:
        data.decode("utf-8")
        return place
    except UnicodeDecodeError:
        copy = scratch / place.name
        copy.write_text(data.decode("latin-1"), "utf-8")
        return copy


def _found(name: str, place: Path) -> Iterator[dict[str, Any]]:
    from detect_secrets.core.scan import scan_file

    for one in scan_file(str(place)):
        yield {"file": name, "line": one.line_number, "type": one.type, "hashed": one.secret_hash}


def _why(error: Exception) -> str:
    # Only what this program says itself is repeated: other messages may quote the file.
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror}"
    return str(error) if type(error) is ValueError else f"detect-secrets failed with {type(error).__name__}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
