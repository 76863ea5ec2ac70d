"""The view a sandboxed step has of its source: the files as they are, and a private layer that takes its writes.

Two mechanisms, the first that works here is used. An overlay file system over the real source, mounted in a mount
namespace of the step alone: nothing is copied. Where the kernel or the file system refuses (before Linux 5.11, in many
containers, with the layer inside the source) the source is copied, sharing blocks where the file system can.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import InputError, MaestroError
from maestro.process.output_pattern import output_pattern

PRIVATE_FOLDER = ".maestro"
"""Keys, artifacts and runs of the project: never part of a view."""
NEVER_BACK = frozenset({PRIVATE_FOLDER, ".git"})
LAUNCH_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
"""The only environment the programs outside of a sandbox get, so that a step's own (LD_PRELOAD) cannot reach them."""
# Relative names, because a path may hold characters that mean something in mount options.
MOUNT = "mount -t overlay overlay -o userxattr,lowerdir=source,upperdir=layer,workdir=work"
NAMESPACES = (
    ("unshare", "--mount", "--propagation", "private"),
    ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"),
)


@dataclass(frozen=True, slots=True)
class View:
    """A prepared view.

    Args:
        folder: holds ``layer`` (what the step has written; with a copy, the whole source too) and what the mount needs.
        namespace: the command that gives the mount its namespace; empty when the source was copied.
    """

    folder: Path
    namespace: tuple[str, ...]

    @property
    def layer(self) -> Path:
        """Where the step's writes lie."""
        return self.folder / "layer"


def prepare_view(workspace: Path, scratch: Path, *, overlay: bool = True) -> View:
    """Prepare the view of ``workspace`` in ``scratch``, or give the one already there.

    Args:
        workspace: the source.
        scratch: a private folder, on a file system with room for what the step writes; outside of ``workspace``, or
            under its ``.maestro``.
        overlay: False copies in any case.

    Raises:
        InputError: the source cannot be copied, or ``scratch`` lies in it.
    """
    view = View(scratch / "view", ())
    source, private = workspace.resolve(), scratch.resolve()
    if private.is_relative_to(source) and PRIVATE_FOLDER not in private.relative_to(source).parts[:1]:
        raise InputError(
            f"the sandbox's own files ({scratch}) would lie in the source it shows",
            next_step=f"put them outside of {workspace} or under {PRIVATE_FOLDER}/",
        )
    chosen = view.folder / "namespace"
    if chosen.is_file():
        return View(view.folder, tuple(chosen.read_text().split()))
    for folder in (view.layer, view.folder / "work"):
        folder.mkdir(parents=True, mode=0o700)
    (view.folder / "source").symlink_to(workspace.resolve())
    namespace = next(filter(lambda each: _mounts(view, each), NAMESPACES), ()) if overlay else ()
    if not namespace:
        _copy(workspace, view)
    shutil.copymode(workspace, view.layer)
    chosen.write_text(" ".join(namespace))
    return View(view.folder, namespace)


def _mounts(view: View, namespace: tuple[str, ...]) -> bool:
    """Whether the overlay can be mounted here and takes a write; asks the kernel rather than guess."""
    (view.folder / "probe").mkdir(exist_ok=True)
    script = f"{MOUNT} probe && : > probe/.maestro-probe && rm probe/.maestro-probe"
    try:
        completed = subprocess.run(
            [*namespace, "/bin/sh", "-c", script],
            cwd=view.folder,
            env=LAUNCH_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return completed.returncode == 0


def _copy(workspace: Path, view: View) -> None:
    entries = [entry for entry in workspace.iterdir() if entry.name != PRIVATE_FOLDER]
    if not entries:
        return
    completed = subprocess.run(
        ["cp", "--archive", "--reflink=auto", "--target-directory", str(view.layer), "--", *map(str, entries)],
        env={**LAUNCH_ENVIRONMENT, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if completed.returncode != 0:
        reason = completed.stderr.strip().partition("\n")[0]
        raise InputError(f"the source cannot be copied for the sandbox: {reason}")


def collect_outputs(globs: Iterable[str], *, workspace: Path, scratch: Path) -> list[Path]:
    """Copy what a sandboxed step has written and ``globs`` mean from its view into ``workspace``.

    Files appear whole or not at all. Only regular files and symbolic links that stay in the workspace come back, and no
    link is followed: a step could point one at what it was not allowed to read. Nothing under ``.git`` comes back (a
    hook would run outside of the sandbox), nothing under ``.maestro``, and no deletions.

    Returns:
        The paths that came back, relative to the workspace, sorted.

    Raises:
        MaestroError: an output would be written outside of the workspace.
    """
    layer = View(scratch / "view", ()).layer
    pattern = output_pattern(globs)
    collected = []
    for folder, folders, files in os.walk(layer):
        here = Path(folder).relative_to(layer)
        folders[:] = [name for name in folders if name not in NEVER_BACK]
        links = [name for name in folders if (layer / here / name).is_symlink()]
        for name in sorted({*files, *links} - NEVER_BACK):
            relative = here / name
            if pattern.fullmatch(relative.as_posix()) and _bring_back(layer, workspace, relative):
                collected.append(relative)
    return sorted(collected)


def _bring_back(layer: Path, workspace: Path, relative: Path) -> bool:
    """Copy one file; False when it is of a kind that does not come back, or is unchanged."""
    source, target = layer / relative, workspace / relative
    status = source.lstat()
    if not (stat.S_ISREG(status.st_mode) or (stat.S_ISLNK(status.st_mode) and _stays(layer, source))):
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


def _stays(layer: Path, link: Path) -> bool:
    """Whether a symbolic link is relative and leads to a place within the layer, whatever other links do."""
    destination = link.readlink()
    return not destination.is_absolute() and (link.parent / destination).resolve().is_relative_to(layer.resolve())


def remove_view(scratch: Path) -> None:
    """Remove the view, if there is one; the kernel leaves a folder in it that cannot even be listed."""
    folder = scratch / "view"
    if not folder.exists():
        return
    # Top down, so that each can be listed once it was opened; a step may have closed folders of its own, too.
    for path, folders, _files in os.walk(folder):
        for name in folders:
            inner = Path(path) / name
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(folder)
