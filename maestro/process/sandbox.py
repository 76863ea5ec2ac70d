"""``sandbox: true``: a step's process in a bubblewrap container, with a view of its source and nothing else.

What is inside: the system's programs read-only, the source at its own path with a private layer over it, an empty HOME
and /tmp, its own processes, no network unless asked for. Everything else does not exist there.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from maestro.errors import InputError
from maestro.process.sandbox_view import (
    LAUNCH_ENVIRONMENT,
    MOUNT,
    PRIVATE_FOLDER,
    View,
    collect_outputs,
    prepare_view,
    remove_view,
)

__all__ = ["LAUNCH_ENVIRONMENT", "collect_outputs", "remove_view", "require_bubblewrap", "sandbox_argv"]

HOME = "/home/step"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store")
# Chosen one by one: /etc also holds password hashes, private keys and tokens, which root could read.
CONFIGURATION = (
    "alternatives",
    "ca-certificates",
    "crypto-policies",
    "debian_version",
    "fonts",
    "group",
    "hosts",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "pki/ca-trust",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
)
# The arguments, values of secrets among them, come from a file that is gone before the step starts.
OPEN = 'exec 3<"$1"; rm -f -- "$1"; shift'
EXECUTE = 'program=$1; shift; exec "$program" --args 3 "$@"'


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


def sandbox_argv(
    argv: Sequence[str],
    *,
    workspace: Path,
    scratch: Path,
    env: Mapping[str, str],
    writable: Sequence[Path] = (),
    readable: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
    network: bool | Sequence[str] = False,
    cwd: Path | None = None,
    bubblewrap: str = "bwrap",
) -> list[str]:
    """The command that runs ``argv`` in a sandbox; to be started with ``LAUNCH_ENVIRONMENT`` as its environment.

    The first call prepares the view in ``scratch``; later ones see what the earlier ones wrote. A command is good for
    one start.

    Args:
        argv: the step's command.
        workspace: the source, seen at its own path; writes go to a private layer. ``collect_outputs`` brings them back.
        scratch: a private folder for the sandbox's own files, invisible inside; ``remove_view`` clears it.
        env: the whole environment inside, apart from HOME and TMPDIR.
        writable: folders of the host that are visible and written for real.
        readable: files and folders of the host that are visible besides the system's: a virtual environment.
        hidden: files and folders that are left out of the view, for secrets that lie in the workspace.
        network: True shares the host's network, loopback included.
        cwd: the folder it starts in; the workspace when None.
        bubblewrap: the program, as ``require_bubblewrap`` gives it.

    Raises:
        InputError: a list of hosts is asked for, or a folder cannot be used.
    """
    if not isinstance(network, bool) and network:
        raise InputError(
            f"`network: [{', '.join(network)}]` is not available yet: a sandbox cannot hold a step to a list of hosts",
            next_step="use `network: true` (everything) or `network: false` (nothing)",
        )
    if workspace.resolve() == Path("/"):
        raise InputError("a sandbox cannot have / as its workspace", next_step="check out into a folder of its own")
    for path in (*writable, *readable):
        if not path.exists():
            raise InputError(f"a sandbox cannot show {path}: it does not exist")
    view = prepare_view(workspace, scratch)
    arguments = [
        *("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *(("--share-net",) if network else ()),
        *("--unshare-user", "--uid", str(os.geteuid()), "--gid", str(os.getegid())),
        *_system(bool(network)),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", HOME),
        *_bind("--ro-bind", readable),
        *("--bind", str(workspace if view.namespace else view.layer), str(workspace)),
        *_hidden(workspace, (workspace / PRIVATE_FOLDER, *hidden)),
        *_bind("--bind", writable),
        *("--remount-ro", "/", "--chdir", str(cwd or workspace)),
        *(word for name, value in sorted(env.items()) for word in ("--setenv", name, value)),
        *("--setenv", "HOME", HOME, "--setenv", "TMPDIR", "/tmp"),
    ]
    return _launcher(view, workspace, _write(arguments, scratch), bubblewrap, argv)


def _launcher(view: View, workspace: Path, arguments: Path, bubblewrap: str, argv: Sequence[str]) -> list[str]:
    script = f"set -e; {OPEN}; {EXECUTE}"
    mount: list[str] = []
    if view.namespace:
        script = f'set -e; {OPEN}; cd "$1"; {MOUNT} "$2" || exit 125; shift 2; {EXECUTE}'
        mount = [str(view.folder), str(workspace)]
    return [*view.namespace, "/bin/sh", "-c", script, "sandbox", str(arguments), *mount, bubblewrap, "--", *argv]


def _write(arguments: Sequence[str], scratch: Path) -> Path:
    """Arguments as bubblewrap reads them, each ended by NUL, in a file for its owner alone."""
    descriptor, path = tempfile.mkstemp(prefix="bubblewrap-", dir=scratch)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(os.fsencode(word) + b"\0" for word in arguments))
    return Path(path)


def _system(network: bool) -> Iterator[str]:
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    for name in CONFIGURATION:
        if (Path("/etc") / name).exists():
            yield from ("--ro-bind", f"/etc/{name}", f"/etc/{name}")
    resolver = Path("/etc/resolv.conf")
    if network and resolver.exists():
        # Often a link into /run, which does not exist inside.
        yield from ("--ro-bind", str(resolver.resolve()), str(resolver))


def _bind(option: str, paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        yield from (option, str(path.absolute()), str(path.absolute()))


def _hidden(workspace: Path, paths: Iterable[Path]) -> Iterator[str]:
    root = workspace.resolve()
    for path in paths:
        place = path.resolve()
        if place.is_relative_to(root) and place != root:
            seen = str(workspace / place.relative_to(root))
            if place.is_dir():
                yield from ("--tmpfs", seen, "--remount-ro", seen)
            elif place.exists():
                yield from ("--ro-bind", "/dev/null", seen)
