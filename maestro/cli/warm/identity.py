"""What a process has from the one that started it, and what cannot be handed to another: only its like may stand in.

Arguments, folder, streams, environment, umask, soft limits and ignored signals are handed over; the rest is compared.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping

_PREFIXES = ("PYTHON", "LC_", "LD_", "MALLOC_", "OPENSSL_", "DAGSTER_", "PYDANTIC_", "SQLALCHEMY_", "GRPC_")
_NAMES = frozenset({"HOME", "LANG", "LANGUAGE", "TZ", "GLIBC_TUNABLES"})
_CREDENTIALS = ("TOKEN", "SECRET", "PASSWORD", "KEY")
_FLAGS = ("debug", "optimize", "no_user_site", "no_site", "ignore_environment", "dev_mode", "utf8_mode", "isolated")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_INHERITED = ("Cap", "NoNewPrivs", "Seccomp")
LIMITS = tuple(sorted(value for name, value in vars(resource).items() if name.startswith("RLIMIT_")))


def loading_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that Python and libraries read when they are loaded; never one that looks like a credential.

    They are all the warm process has, so it knows no secret.
    """
    return {
        name: value
        for name, value in sorted(environ.items())
        if (name in _NAMES or name.startswith(_PREFIXES)) and not any(word in name for word in _CREDENTIALS)
    }


def identity(environ: Mapping[str, str]) -> list[str]:
    """Of this process: Python and Maestro, user and rights, namespaces, control group, priority and hard limits."""
    import maestro

    # The first entry is the program's own folder.
    searched = sys.path if sys.flags.safe_path else sys.path[1:]
    top = os.stat("/")  # noqa: PTH116 - without pathlib, which takes longer to import than all of this
    return [
        f"{sys.executable} {sys.version} {maestro.__path__}",
        repr([getattr(sys.flags, name) for name in _FLAGS] + [sys.warnoptions, sys.getfilesystemencoding()]),
        repr(searched),
        repr(loading_environment(environ)),
        repr((os.getresuid(), os.getresgid(), sorted(os.getgroups()))),
        repr([_link(f"/proc/self/ns/{name}") for name in _NAMESPACES]),
        repr((top.st_dev, top.st_ino)),
        _text("/proc/self/cgroup"),
        _text("/proc/self/attr/current"),
        "\n".join(line for line in _text("/proc/self/status").splitlines() if line.startswith(_INHERITED)),
        repr((os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), sorted(os.sched_getaffinity(0)))),
        _text("/proc/self/oom_score_adj"),
        repr([resource.getrlimit(number)[1] for number in LIMITS]),
    ]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - as above
    except OSError:
        return ""
