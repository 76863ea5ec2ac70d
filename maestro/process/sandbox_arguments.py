"""Bubblewrap's arguments: what of the host a sandbox shows, and what it hides."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

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


def sandbox_arguments(
    *,
    workspace: Path,
    view: Path,
    writable: Iterable[Path],
    readable: Iterable[Path],
    network: bool,
    cwd: Path,
    env: Mapping[str, str],
    masked: Iterable[Path] = (),
) -> list[str]:
    """The arguments for a process in ``cwd`` that sees ``view`` at ``workspace``.

    Its environment is exactly ``env``, HOME and TMPDIR apart. Folders of ``masked`` beneath a system folder are empty.
    """
    return [
        *("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *(("--share-net",) if network else ()),
        *("--unshare-user", "--uid", str(os.geteuid()), "--gid", str(os.getegid())),
        *_system(network),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", HOME),
        *_masked(masked),
        *_bind("--ro-bind", readable),
        *("--bind", str(view), str(workspace)),
        *_bind("--bind", writable),
        # Last, since the places of the mounts before are made in it.
        *("--remount-ro", "/", "--chdir", str(cwd)),
        *(word for name, value in sorted(env.items()) for word in ("--setenv", name, value)),
        *("--setenv", "HOME", HOME, "--setenv", "TMPDIR", "/tmp"),
    ]


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


def _masked(paths: Iterable[Path]) -> Iterator[str]:
    shown = [os.path.realpath(name) for name in SYSTEM]
    for path in paths:
        real = Path(os.path.realpath(path))
        if real.is_dir() and any(real.is_relative_to(folder) for folder in shown):
            yield from ("--tmpfs", str(real))


def _bind(option: str, paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        yield from (option, str(path.absolute()), str(path.absolute()))
