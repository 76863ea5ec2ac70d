"""``sandbox: true``: a step's process in a bubblewrap container, with a view of its source and nothing else.

What is inside: the system's programs read-only, a private copy of the source at the source's own path, the step's
scratch folder, an empty HOME and /tmp, its own processes, no network unless asked for. Nothing else exists there.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import InputError
from maestro.process.sandbox_arguments import sandbox_arguments
from maestro.process.sandbox_view import LAUNCH_ENVIRONMENT, collect_outputs, copy_source, remove_view

# The arguments, values of secrets among them, come from a file that is gone before the step starts.
# An empty environment for bubblewrap too: inside, /proc shows its own.
SCRIPT = 'set -e; exec 3<"$1"; rm -f -- "$1"; program=$2; shift 2; exec env -i PATH="$PATH" "$program" --args 3 "$@"'


def require_bubblewrap(which: Callable[[str], str | None]) -> str:
    """The path of bubblewrap, after seeing that it works here (a few milliseconds).

    Raises:
        InputError: it is not installed, or the kernel does not let this user make namespaces.
    """
    path = which("bwrap")
    if path is None:
        raise InputError(
            "a step asks for a sandbox, but bubblewrap (bwrap) is not installed",
            next_step="install the package bubblewrap (Debian: apt install bubblewrap), or remove `sandbox: true`",
        )
    probe = [path, "--unshare-all", "--ro-bind", "/", "/", "/bin/sh", "-c", ":"]
    try:
        completed = subprocess.run(
            probe, env=LAUNCH_ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        failed, reason = completed.returncode != 0, completed.stderr.strip()
    except OSError as error:
        failed, reason = True, str(error.strerror)
    if failed:
        raise InputError(
            f"a step asks for a sandbox, but bubblewrap cannot make one here: {reason}",
            next_step="allow user namespaces (sysctl user.max_user_namespaces=15000; on Debian also "
            "kernel.unprivileged_userns_clone=1; in a container, its seccomp profile), or remove `sandbox: true`",
        )
    return path


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the processes of one step see; made by ``prepare``.

    Args:
        workspace: the source, and where processes find their copy of it.
        view: the copy, which the run worker can read.
        scratch: a private folder, seen and written at its own path.
        network: True shares the host's network, loopback included.
        writable: folders of the host that are visible and written for real.
        readable: files and folders of the host that are visible besides the system's: a virtual environment.
        hidden: files and folders that are neither copied nor brought back, for secrets that lie in the workspace.
        masked: folders that are empty inside, should they lie beneath a system folder, all of which is visible.
        bubblewrap: the program.
    """

    workspace: Path
    view: Path
    scratch: Path
    network: bool
    writable: tuple[Path, ...]
    readable: tuple[Path, ...]
    hidden: tuple[Path, ...]
    masked: tuple[Path, ...]
    bubblewrap: str

    @classmethod
    def prepare(
        cls,
        *,
        workspace: Path,
        scratch: Path,
        which: Callable[[str], str | None],
        files: Iterable[str] | None = None,
        network: bool | Sequence[str] = False,
        writable: Sequence[Path] = (),
        readable: Sequence[Path] = (),
        hidden: Sequence[Path] = (),
        masked: Sequence[Path] = (),
    ) -> Sandbox:
        """Copy the source and see that a sandbox can be made.

        Args:
            which: finds bubblewrap.
            files: what is copied, relative to ``workspace``; everything but ``.maestro`` when None.

        Raises:
            InputError: there is no bubblewrap, a list of hosts is asked for, or a folder cannot be used.
        """
        if not isinstance(network, bool) and network:
            raise InputError(
                f"`network: [{', '.join(network)}]` is not available yet: a sandbox cannot hold a step to some hosts",
                next_step="use `network: true` (everything) or `network: false` (nothing)",
            )
        if workspace.resolve() == Path("/"):
            raise InputError("a sandbox cannot have / as its workspace", next_step="check out into a folder of its own")
        for path in (*writable, *readable):
            if not path.exists():
                raise InputError(
                    f"a sandbox cannot show {path}: it does not exist", next_step="make it, or do not ask for it"
                )
        bubblewrap = require_bubblewrap(which)
        view = scratch / "view"
        copy_source(workspace, view, files, hidden)
        return cls(
            workspace.absolute(),
            view.absolute(),
            scratch.absolute(),
            bool(network),
            tuple(writable),
            tuple(readable),
            tuple(hidden),
            tuple(masked),
            bubblewrap,
        )

    def command(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None
    ) -> tuple[list[str], dict[str, str]]:
        """The command that runs ``argv`` inside, good for one start, and the environment to start it with.

        Args:
            argv: the step's command.
            env: the whole environment inside, apart from HOME and TMPDIR.
            cwd: the folder it starts in, in the view or the workspace; the workspace when None.
        """
        folder = (cwd or self.workspace).absolute()
        if folder.is_relative_to(self.view):
            folder = self.workspace / folder.relative_to(self.view)
        arguments = sandbox_arguments(
            workspace=self.workspace,
            view=self.view,
            writable=(self.scratch, *self.writable),
            readable=self.readable,
            network=self.network,
            cwd=folder,
            env=env,
            masked=self.masked,
        )
        descriptor, path = tempfile.mkstemp(prefix="bubblewrap-", dir=self.scratch)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"".join(os.fsencode(word) + b"\0" for word in arguments))
        launcher = ["/bin/sh", "-c", SCRIPT, "sandbox", path, self.bubblewrap, "--", *argv]
        return launcher, dict(LAUNCH_ENVIRONMENT)

    def collect(self, globs: Iterable[str]) -> list[Path]:
        """Bring the outputs ``globs`` mean back into the workspace; see ``collect_outputs``."""
        return collect_outputs(globs, workspace=self.workspace, view=self.view, hidden=self.hidden)

    def remove(self) -> None:
        """Remove the view."""
        remove_view(self.view)
