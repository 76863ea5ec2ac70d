"""The view a sandboxed step has of its source: a private copy that takes its writes, and how outputs come back from it.

A copy, sharing blocks where the file system can, and not an overlay mount: a step kind reads its reports from the view
in the run worker, which is outside of any mount namespace of the step.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from maestro.errors import InputError, MaestroError
from maestro.process.output_pattern import output_pattern

PRIVATE_FOLDER = ".maestro"
"""Keys, artifacts and runs of the project: never part of a view."""
NEVER_BACK = frozenset({PRIVATE_FOLDER, ".git"})
LAUNCH_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
"""The only environment the programs outside of a sandbox get, so that a step's own (LD_PRELOAD) cannot reach them."""
_BATCH = 1000


def copy_source(workspace: Path, view: Path, files: Iterable[str] | None = None, hidden: Iterable[Path] = ()) -> None:
    """Copy ``files`` of ``workspace`` to ``view``, which is made; those that no longer exist are left out.

    Args:
        workspace: the source.
        view: where to; outside of ``workspace``, or under its ``.maestro``.
        files: paths relative to ``workspace``; all but ``.maestro`` when None.
        hidden: files and folders that are not to be seen; of a link, what it leads to as well.

    Raises:
        InputError: the source cannot be copied, or ``view`` lies in it.
    """
    source, private = workspace.resolve(), view.resolve()
    if private.is_relative_to(source) and PRIVATE_FOLDER not in private.relative_to(source).parts[:1]:
        raise InputError(
            f"the sandbox's own files ({view}) would lie in the source it shows",
            next_step=f"put them outside of {workspace} or under {PRIVATE_FOLDER}/",
        )
    view.mkdir(parents=True, mode=0o700)
    names = sorted(entry.name for entry in workspace.iterdir()) if files is None else sorted(files)
    names = [name for name in names if name.split("/", 1)[0] != PRIVATE_FOLDER and os.path.lexists(workspace / name)]
    for start in range(0, len(names), _BATCH):
        _copy(workspace, view, names[start : start + _BATCH])
    for relative in _inside(workspace, hidden):
        place = view / relative
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    shutil.copymode(workspace, view)


def _inside(workspace: Path, paths: Iterable[Path]) -> set[Path]:
    """Those of ``paths``, and of what they lead to, that lie in the workspace; relative to it."""
    roots = (workspace.absolute(), workspace.resolve())
    places = [place for path in paths for place in (path.absolute(), path.resolve())]
    return {place.relative_to(root) for place in places for root in roots if place.is_relative_to(root)} - {Path()}


def _copy(workspace: Path, view: Path, names: list[str]) -> None:
    completed = subprocess.run(
        ["cp", "--archive", "--reflink=auto", "--parents", "--target-directory", str(view.absolute()), "--", *names],
        cwd=workspace,
        env={**LAUNCH_ENVIRONMENT, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if completed.returncode != 0:
        reason = completed.stderr.strip().partition("\n")[0]
        raise InputError(
            f"the source cannot be copied for the sandbox: {reason}",
            next_step="make the file readable, or free space on the disk",
        )


def collect_outputs(globs: Iterable[str], *, workspace: Path, view: Path, hidden: Iterable[Path] = ()) -> list[Path]:
    """Copy what a sandboxed step has written and ``globs`` mean from its view into ``workspace``.

    Files appear whole or not at all. Only regular files and symbolic links that stay in the workspace come back, and no
    link is followed: a step could point one at what it was not allowed to read. Nothing under ``.git`` comes back (a
    hook would run outside of the sandbox), nothing under ``.maestro``, and no deletions.

    Returns:
        The paths that came back, relative to the workspace, sorted.

    Raises:
        MaestroError: an output would be written outside of the workspace.
    """
    pattern = output_pattern(globs)
    kept = _inside(workspace, hidden)
    collected = []
    for folder, folders, files in os.walk(view):
        here = Path(folder).relative_to(view)
        folders[:] = [name for name in folders if name not in NEVER_BACK]
        links = [name for name in folders if (view / here / name).is_symlink()]
        for name in sorted({*files, *links} - NEVER_BACK):
            relative = here / name
            if kept.intersection((relative, *relative.parents)):
                continue
            if pattern.fullmatch(relative.as_posix()) and _bring_back(view, workspace, relative):
                collected.append(relative)
    return sorted(collected)


def _bring_back(view: Path, workspace: Path, relative: Path) -> bool:
    """Copy one file; False when it is of a kind that does not come back, or is unchanged."""
    source, target = view / relative, workspace / relative
    status = source.lstat()
    if not (stat.S_ISREG(status.st_mode) or (stat.S_ISLNK(status.st_mode) and _stays(view, source))):
        return False
    try:
        there = target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        there = None
    if there and (there.st_mode, there.st_size, there.st_mtime_ns) == (
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
    ):
        return False
    if not target.parent.resolve().is_relative_to(workspace.resolve()):
        raise MaestroError(
            f"output '{relative}' of a sandboxed step would be written outside of the workspace",
            next_step=f"replace the symbolic link in {target.parent} by a folder",
        )
    if there and stat.S_ISDIR(there.st_mode):
        raise MaestroError(f"output '{relative}' of a sandboxed step is a folder in the workspace")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.copy2(source, partial, follow_symlinks=False)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return True


def _stays(view: Path, link: Path) -> bool:
    """Whether a symbolic link is relative and leads to a place within the view, whatever other links do."""
    destination = link.readlink()
    return not destination.is_absolute() and (link.parent / destination).resolve().is_relative_to(view.resolve())


def remove_view(folder: Path) -> None:
    """Remove a view, or the folder it lies in, whatever permissions a step has left there."""
    if not folder.exists():
        return
    # Top down, so that each can be listed once it was opened.
    for path, folders, _files in os.walk(folder):
        for name in folders:
            inner = Path(path) / name
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(folder)
