"""Reads a Node package: its ``package.json`` and the package manager its lock file asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from maestro.errors import InputError, Location
from maestro.steps import Requirement

Manager = Literal["npm", "pnpm", "yarn"]

NODE = Requirement("node", "install Node.js 20 or newer: apt install nodejs npm")
_MANAGERS: dict[Manager, Requirement] = {
    "npm": Requirement("npm", "install npm: apt install npm"),
    "pnpm": Requirement("pnpm", "install pnpm: npm install --global pnpm"),
    "yarn": Requirement("yarn", "install Yarn: npm install --global yarn"),
}
_LOCKS: tuple[tuple[str, Manager], ...] = (
    ("package-lock.json", "npm"),
    ("npm-shrinkwrap.json", "npm"),
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
)
# What each manager writes last into node_modules.
_STAMPS = (".package-lock.json", ".modules.yaml", ".yarn-integrity", ".yarn-state.yml")
_NO_LOCK: tuple[Path | None, Manager] = (None, "npm")
# What `npm init` puts there; it always fails.
_NO_TEST = "no test specified"


@dataclass(frozen=True, slots=True)
class NodePackage:
    """One folder with a ``package.json``.

    Args:
        folder: where it lies.
        name, version: empty when not given.
        scripts: name -> command.
        dependencies: names of everything it depends on, development included.
        manager: the tool its lock file belongs to; npm without one.
        lock: the lock file, if any.
    """

    folder: Path
    name: str = ""
    version: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    dependencies: frozenset[str] = frozenset()
    manager: Manager = "npm"
    lock: Path | None = None

    @property
    def requirements(self) -> list[Requirement]:
        """Node and the package manager."""
        return [NODE, _MANAGERS[self.manager]]

    def has_script(self, name: str) -> bool:
        """True when ``package.json`` has a script of that name that is more than npm's own placeholder."""
        return bool(self.scripts.get(name)) and _NO_TEST not in self.scripts[name]

    def installed(self) -> bool:
        """True when ``node_modules`` is there and not older than what it was made from."""
        modules = self.folder / "node_modules"
        if not modules.is_dir():
            return False
        stamp = next((modules / name for name in _STAMPS if (modules / name).is_file()), modules)
        source = self.lock or self.folder / "package.json"
        return stamp.stat().st_mtime_ns >= source.stat().st_mtime_ns

    def install_argv(self) -> list[str]:
        """The command that installs the dependencies, exactly those of the lock file when there is one."""
        if self.manager == "pnpm":
            return ["pnpm", "install", "--frozen-lockfile"]
        if self.manager == "yarn":
            # Yarn 2 and later call it --immutable, and still take this name.
            return ["yarn", "install", "--frozen-lockfile"]
        if self.lock:
            return ["npm", "ci", "--no-audit", "--no-fund"]
        # A lock file that appears in the checkout would make it another revision.
        return ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]

    def program(self, name: str, workspace: Path) -> Path | None:
        """The program ``name`` of an installed dependency, looked for as Node does: here, then in the folders above."""
        for folder in (self.folder, *self.folder.parents):
            found = folder / "node_modules" / ".bin" / name
            if found.exists():
                return found
            if folder == workspace:
                break
        return None


def read_node_package(folder: Path, workspace: Path) -> NodePackage | None:
    """The Node package in ``folder``; None when it has no ``package.json``.

    Raises:
        InputError: ``package.json`` is no JSON object, or lock files of several package managers lie side by side.
    """
    file = folder / "package.json"
    if not file.is_file():
        return None
    shown = file.relative_to(workspace).as_posix()
    try:
        data = json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        raise _malformed(error.msg, Location(shown, error.lineno, error.colno)) from error
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error), Location(shown)) from error
    if not isinstance(data, dict):
        raise _malformed("it is no object", Location(shown))
    locks = [(folder / name, manager) for name, manager in _LOCKS if (folder / name).is_file()]
    if len({manager for _, manager in locks}) > 1:
        names = " and ".join(lock.name for lock, _ in locks)
        raise InputError(
            f"{names} lie side by side, so it is not clear which package manager to use",
            where=Location(shown),
            next_step="remove the lock file that is out of use",
        )
    lock, manager = locks[0] if locks else _NO_LOCK
    return NodePackage(
        folder=folder,
        name=_text(data, "name"),
        version=_text(data, "version"),
        scripts={str(key): value for key, value in _table(data, "scripts").items() if isinstance(value, str)},
        dependencies=frozenset(
            name
            for table in ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
            for name in _table(data, table)
        ),
        manager=manager,
        lock=lock,
    )


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _malformed(reason: str, where: Location) -> InputError:
    return InputError(f"package.json cannot be read: {reason}", where=where, next_step="correct the file")
