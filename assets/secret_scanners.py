"""Runs detect-secrets and gitleaks over files of a workspace, as processes of the step."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets import secret_worker
from assets.secret_report import SecretFinding, fingerprint
from maestro.steps import StepContext

FILE_BYTES = 5 * 2**20
"""The largest text that is looked at; a longer one is generated, and is left out by name or not scanned."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What one scanner found.

    Args:
        problem: why it did not run to its end; None: it did.
    """

    scanner: str
    version: str = "unknown"
    findings: tuple[SecretFinding, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
    problem: str | None = None


def detect_secrets(context: StepContext, files: Sequence[str]) -> Searched:
    """detect-secrets, in a process of its own."""
    scanner = "detect-secrets"
    request, answer, copies = (context.scratch / name for name in ("request.json", "answer.json", "copies"))
    copies.mkdir()
    asked = {"root": str(context.workspace), "files": list(files), "scratch": str(copies), "limit": FILE_BYTES}
    request.write_text(json.dumps(asked), "utf-8")
    argv = [sys.executable, "-I", "-X", "utf8", str(Path(secret_worker.__file__)), str(request), str(answer)]
    code = context.run_process(argv).exit_code
    said = _json(answer)
    if code != 0 or not isinstance(said, dict):
        return Searched(scanner, problem=f"detect-secrets ended with exit code {code}; see the log of the step")
    return Searched(
        scanner,
        str(said["version"]),
        tuple(
            SecretFinding(
                one["file"], one["line"], one["type"], fingerprint(one["file"], one["type"], one["hashed"]), scanner
            )
            for one in said["findings"]
        ),
        tuple((one["file"], one["reason"]) for one in said["unread"]),
    )


def gitleaks(context: StepContext, program: str, files: Sequence[str]) -> Searched:
    """gitleaks, over a copy of just these files; it is told to black the secrets out."""
    scanner = "gitleaks"
    tree, answer, printed = (context.scratch / name for name in ("tree", "gitleaks.json", "gitleaks.version"))
    tree.mkdir()
    unread = tuple((name, why) for name in files if (why := _place(context.workspace / name, tree / name)) is not None)
    context.run_process([program, "version"], stdout=printed)
    options = ["--redact=100", "--no-banner", "--no-color", "--exit-code=0", "--report-format=json"]
    code = context.run_process([program, "dir", *options, f"--report-path={answer}", str(tree)], cwd=tree).exit_code
    said = _json(answer)
    if code != 0 or not isinstance(said, list):
        return Searched(scanner, problem=f"gitleaks ended with exit code {code}; see the log of the step")
    version = printed.read_text("utf-8", "replace").strip()[:60] if printed.exists() else ""
    return Searched(scanner, version or "unknown", tuple(_of_gitleaks(tree, one) for one in said), unread)


def _place(file: Path, place: Path) -> str | None:
    """Puts a file into the tree; why it could not be."""
    try:
        # gitleaks passes over what it may not read.
        file.open("rb").close()
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, place)
        except OSError:
            # Another file system, or no right to link: a copy does as well.
            shutil.copyfile(file, place)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return None


def _of_gitleaks(tree: Path, found: dict[str, Any]) -> SecretFinding:
    place = Path(str(found["File"]))
    name = place.relative_to(tree).as_posix() if place.is_absolute() else place.as_posix()
    line = int(found["StartLine"])
    # The report is blacked out; the line in the file tells one secret of a rule from another.
    text = (tree / name).read_bytes().split(b"\n")[line - 1 : int(found.get("EndLine", line))]
    hashed = hashlib.sha256(b"\n".join(part.strip() for part in text)).hexdigest()
    kind = str(found["RuleID"])
    return SecretFinding(name, line, kind, fingerprint(name, kind, hashed), "gitleaks")


def _json(place: Path) -> Any:
    try:
        return json.loads(place.read_bytes())
    except (OSError, ValueError):
        return None
