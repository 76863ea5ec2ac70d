"""Runs buildah for a step: confined, with storage of the project's own, its words kept for the error message."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from assets.shell import shell_requirement
from maestro.errors import InputError
from maestro.steps import Requirement, StepContext

REQUIREMENTS = (
    Requirement("buildah", "install buildah: apt-get install buildah"),
    Requirement("unshare", "install util-linux: apt-get install util-linux", version_args=()),
    shell_requirement("bash"),
)

_TAIL = 64 * 1024
_NO_NAMESPACE = re.compile(
    r"^(?:unshare: .*(?:not permitted|denied)|Error: .*(?:cannot clone|newuidmap|newgidmap|user namespace)).*$",
    re.MULTILINE,
)
# Shows the output while it comes and keeps it as well.
_TEE = '"$@" 2>&1 | tee -- "$0"'


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished buildah.

    Args:
        output: the last 64 KiB of what it printed.
    """

    exit_code: int
    output: str

    @property
    def reason(self) -> str:
        """Its last error, on one line."""
        errors = [line for line in self.output.splitlines() if line.startswith("Error: ")]
        return errors[-1].removeprefix("Error: ")[:500] if errors else f"exit code {self.exit_code}"


class Buildah:
    """Buildah with the project's image storage.

    Args:
        context: of the step.
        hermetic: keeps layers made without a network apart from others, so that no layer made with one is taken for one
            made without.
        platform: keeps those of each platform apart as well; buildah 1.28 does not look at it on top of ``scratch``.
    """

    def __init__(self, context: StepContext, *, hermetic: bool, platform: str) -> None:
        self._context = context
        self._count = 0
        self._root = os.geteuid() == 0
        self._name = f"{'hermetic' if hermetic else 'open'}-{platform.replace('/', '-')}"
        home = image_storage(context.scratch) / self._name
        self._graph = home / f"{datetime.now(UTC):%Y-%m}"
        self._graph.mkdir(parents=True, exist_ok=True)
        (context.scratch / "tmp").mkdir(exist_ok=True)
        self._drop_old(home)

    def run(self, *arguments: str, network: bool = True) -> Ran:
        """Run ``buildah ARGUMENTS``; without ``network`` it has not even the loopback interface.

        Raises:
            InputError: this user cannot make the namespaces a build needs.
        """
        self._count += 1
        printed = self._context.scratch / f"{self._name}-{self._count}.log"
        argv = ["bash", "-o", "pipefail", "-c", _TEE, str(printed), *self._confined(["buildah", *arguments], network)]
        code = self._context.run_process(argv, cwd=self._context.scratch, env=self._environment()).exit_code
        ran = Ran(code, _end_of(printed))
        if code != 0 and (refused := _NO_NAMESPACE.search(ran.output)):
            raise InputError(
                f"images cannot be built here: {refused[0][:300]}",
                next_step="take `sandbox` from the step; in a container, give it CAP_SYS_ADMIN; as a user, "
                "apt-get install uidmap and have ranges in /etc/subuid and /etc/subgid",
            )
        return ran

    def _storage(self) -> list[str]:
        # What is mounted at the moment is this step's own affair, as are its mounts.
        return ["--root", str(self._graph), "--runroot", str(self._context.scratch / f"run-{self._name}")]

    def _confined(self, argv: Sequence[str], network: bool) -> list[str]:
        """``argv`` with the storage, in a mount namespace of its own: a killed build leaves no mount behind."""
        command = [argv[0], *self._storage(), *argv[1:]]
        if self._root:
            return ["unshare", "--mount", *([] if network else ["--net"]), "--", *command]
        # Without root, buildah makes the namespaces itself; the network's must lie within that of the users.
        return command if network else ["buildah", *self._storage(), "unshare", "unshare", "--net", "--", *command]

    def _environment(self) -> dict[str, str]:
        # The settings of a person's podman, such as default variables of containers, must not end up in images.
        return {"TMPDIR": str(self._context.scratch / "tmp"), "CONTAINERS_CONF": os.devnull}

    def _drop_old(self, home: Path) -> None:
        """Forget layers of the month before last: nothing else bounds the cache."""
        for old in sorted(folder for folder in home.iterdir() if folder.is_dir())[:-2]:
            self._context.log.info("forgetting image layers of %s", old.name)
            if self._root:
                shutil.rmtree(old, ignore_errors=True)
            else:  # they belong to users only the namespace has
                self._context.run_process(["buildah", *self._storage(), "unshare", "rm", "-rf", str(old)])


def image_storage(scratch: Path) -> Path:
    """Where layers are kept: ``images`` in the project's state folder, in whose ``scratch`` steps have theirs."""
    parent = scratch.parent
    return (parent.parent if parent.name == "scratch" else parent) / "images"


def _end_of(file: Path) -> str:
    if not file.is_file():
        return ""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _TAIL))
        return stream.read().decode("utf-8", "replace")
