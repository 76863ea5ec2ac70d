"""The memory of this machine: of the host, as far as a cgroup lets it be used, and of its NVIDIA GPUs. All in bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU."""

    name: str
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What there is.

    Args:
        total: of the host, or of the cgroup where that allows less.
        available: what a new process can have without swapping.
        limited: whether a cgroup is what limits it.
    """

    total: int
    available: int
    gpus: tuple[Gpu, ...] = ()
    limited: bool = False

    @property
    def gpu_free(self) -> int:
        """Of all GPUs together; Ollama spreads a model over them."""
        return sum(one.free for one in self.gpus)


def memory_now(*, cgroups: Path = CGROUPS, proc: Path = PROC) -> Memory:
    """What this machine has now.

    A limit is that of the cgroup (version 2) in which a process named ``ollama`` runs, or this process where none can
    be seen.
    """
    host = psutil.virtual_memory()
    total, available, limited = int(host.total), int(host.available), False
    for limit, used in _limits(cgroups, proc, _server() or "self"):
        left = max(0, limit - used)
        if limit < total or left < available:
            total, available, limited = min(total, limit), min(available, left), True
    return Memory(total, available, gpus_now(), limited)


def gpus_now() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs; none where there is no driver, or it does not answer."""
    import pynvml  # type: ignore[import-untyped]  # no types

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        # Also NVMLError_LibraryNotFound: no driver, so no GPU.
        return ()
    try:
        return tuple(_gpu(index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _gpu(index: int) -> Gpu:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    name = pynvml.nvmlDeviceGetName(handle)
    return Gpu(name.decode() if isinstance(name, bytes) else str(name), int(memory.total), int(memory.free))


def _server() -> str | None:
    """Process id of an Ollama that runs here."""
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "ollama":
            return str(process.pid)
    return None


def _limits(cgroups: Path, proc: Path, process: str) -> Iterator[tuple[int, int]]:
    """(limit, used) of the process's cgroup and of those above it; pages that can be dropped do not count as used."""
    try:
        lines = (proc / process / "cgroup").read_text().splitlines()
    except OSError:
        return
    # Version 2 has one line, `0::/path`; within a container the path may lead out of what is mounted.
    path = next((line[3:] for line in lines if line.startswith("0::")), None)
    if path is None:
        return
    inner = [part for part in path.split("/") if part not in ("", "..", ".")]
    for depth in range(len(inner), -1, -1):
        folder = cgroups.joinpath(*inner[:depth])
        try:
            limit = (folder / "memory.max").read_text().strip()
            used = int((folder / "memory.current").read_text())
        except (OSError, ValueError):
            continue
        if limit.isdecimal():
            yield int(limit), max(0, used - _inactive_file(folder))


def _inactive_file(folder: Path) -> int:
    try:
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "inactive_file":
                return int(value)
    except (OSError, ValueError):
        pass
    return 0
