"""Finds out which test framework a project uses, from the files it has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from assets.node_packages import NodePackage, read_node_package
from maestro.errors import InputError

Level = Literal["unit", "integration", "e2e"]
Framework = Literal["pytest", "vitest", "jest", "go", "cargo"]
Detected = Literal["pytest", "vitest", "jest", "go", "cargo", "script"]

FOLDERS: dict[Level, tuple[str, ...]] = {
    "unit": ("tests/unit", "test/unit"),
    "integration": ("tests/integration", "test/integration", "integration"),
    "e2e": ("tests/e2e", "test/e2e", "e2e"),
}
"""Conventional folders of each level, in the order they are looked for."""

_SCRIPTS: dict[Level, tuple[str, ...]] = {
    "unit": ("test:unit", "test"),
    "integration": ("test:integration",),
    "e2e": ("test:e2e", "e2e"),
}
_PYTEST_SECTION = re.compile(r"^\[(?:tool\.pytest\b.*|tool:pytest|pytest)\]\s*$", re.M)
_PYTEST_FILES = ("pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg")
_PYTHON_TEST = re.compile(r"^(?:test_.*|.*_test)\.py$")
_JAVASCRIPT_TEST = re.compile(r"\.(?:test|spec)\.[cm]?[jt]sx?$")
_GO_TEST = re.compile(r"_test\.go$")
_NOT_SOURCE = frozenset({"node_modules", ".git", ".venv", "venv", "dist", "build", "target", "vendor", "__pycache__"})
_MOST_FILES = 20_000


@dataclass(frozen=True, slots=True)
class TestSetup:
    """How the tests of one level are run.

    Args:
        framework: which; ``script`` is a script of ``package.json``, of which only the exit code is known.
        paths: folders to test, relative to the project's folder; empty: all the framework finds.
        ignored: folders of other levels, which the framework would find as well.
        script: name of the script.
        package: the Node package, for the frameworks of Node.
    """

    __test__: ClassVar[bool] = False

    framework: Detected
    paths: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    script: str = ""
    package: NodePackage | None = None


def detect(folder: Path, workspace: Path, level: Level, wanted: Framework | None, paths: tuple[str, ...]) -> TestSetup:
    """How the tests of ``level`` in ``folder`` are run.

    Args:
        folder: the project's folder.
        workspace: the checkout it lies in.
        level: which tests.
        wanted: the framework, when it need not be detected.
        paths: what the step names; conventional folders when empty.

    Raises:
        InputError: none is found, or several.
    """
    package = read_node_package(folder, workspace)
    chosen: Iterable[Framework] = (wanted,) if wanted else ("pytest", "vitest", "jest", "go", "cargo")
    looks: dict[Framework, Callable[[], TestSetup | None]] = {
        "pytest": lambda: _pytest(folder, level, paths, wanted is not None),
        "vitest": lambda: _node("vitest", folder, level, paths, package, wanted is not None),
        "jest": lambda: _node("jest", folder, level, paths, package, wanted is not None),
        "go": lambda: _go(folder, level, paths),
        "cargo": lambda: _cargo(folder, level, paths),
    }
    found = [setup for name in chosen if (setup := looks[name]()) is not None]
    if package is not None and wanted is None and not paths:
        found = _with_script(found, level, package)
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(setup.framework for setup in found)
        raise InputError(
            f"several test frameworks are in use in '{folder.name}': {names}",
            next_step="give each a step of its own that names its 'framework'",
        )
    raise InputError(
        f"no {wanted or level} tests were found in '{folder.name}'; looked for {_looked_for(level, wanted)}",
        next_step="give the step a 'command' that runs them, and 'report' for the JUnit XML it writes",
    )


def _with_script(found: list[TestSetup], level: Level, package: NodePackage) -> list[TestSetup]:
    """A script named for the level is the project's own word; for unit tests, a framework with a report is better."""
    script = next((name for name in _SCRIPTS[level] if package.has_script(name)), None)
    of_node = [setup for setup in found if setup.package is not None]
    if script is None or (level == "unit" and of_node):
        return found
    others = [setup for setup in found if setup.package is None]
    if level == "unit" and others:
        return others  # `test` often just calls the other framework
    return [*others, TestSetup("script", script=script, package=package)]


def _pytest(folder: Path, level: Level, paths: tuple[str, ...], wanted: bool) -> TestSetup | None:
    if paths:
        return TestSetup("pytest", paths) if wanted or _uses_pytest(folder) else None
    own = [name for name in FOLDERS[level] if _holds(folder / name, _PYTHON_TEST)]
    if own:
        return TestSetup("pytest", (own[0],))
    if level != "unit" or not (wanted or _uses_pytest(folder)):
        return None
    others = (name for other in FOLDERS if other != "unit" for name in FOLDERS[other])
    return TestSetup("pytest", ignored=tuple(name for name in others if (folder / name).is_dir()))


def _uses_pytest(folder: Path) -> bool:
    for name in _PYTEST_FILES:
        file = folder / name
        if file.is_file() and (
            name == "pytest.ini" or _PYTEST_SECTION.search(file.read_text("utf-8", errors="replace"))
        ):
            return True
    if (folder / "conftest.py").is_file():
        return True
    # Test files lie in a folder for tests or beside a small project's code; a checkout is not searched through.
    beside = any(_PYTHON_TEST.match(file.name) for file in folder.glob("*.py"))
    return beside or any(_holds(folder / name, _PYTHON_TEST) for name in ("tests", "test"))


def _node(
    name: Literal["vitest", "jest"],
    folder: Path,
    level: Level,
    paths: tuple[str, ...],
    package: NodePackage | None,
    wanted: bool,
) -> TestSetup | None:
    if package is None or not (wanted or name in package.dependencies):
        return None
    if paths:
        return TestSetup(name, paths, package=package)
    own = [place for place in FOLDERS[level] if _holds(folder / place, _JAVASCRIPT_TEST)]
    if own:
        return TestSetup(name, (own[0],), package=package)
    if level != "unit":
        return None
    others = (place for other in FOLDERS if other != "unit" for place in FOLDERS[other])
    return TestSetup(name, ignored=tuple(p for p in others if (folder / p).is_dir()), package=package)


def _go(folder: Path, level: Level, paths: tuple[str, ...]) -> TestSetup | None:
    if not (folder / "go.mod").is_file():
        return None
    if paths:
        return TestSetup("go", paths)
    own = [name for name in FOLDERS[level] if _holds(folder / name, _GO_TEST)]
    if own:
        return TestSetup("go", (f"./{own[0]}/...",))
    return TestSetup("go", ("./...",)) if level == "unit" else None


def _cargo(folder: Path, level: Level, paths: tuple[str, ...]) -> TestSetup | None:
    """Cargo has one convention: every file of ``tests/`` is an integration test, and ``cargo test`` runs all tests."""
    if not (folder / "Cargo.toml").is_file():
        return None
    if paths:
        return TestSetup("cargo", tuple(word for path in paths for word in ("--test", Path(path).stem)))
    if level == "unit":
        return TestSetup("cargo")
    for name in (level, "*") if level == "integration" else (level,):
        if any(folder.glob(f"tests/{name}.rs")) or any(folder.glob(f"tests/{name}/main.rs")):
            return TestSetup("cargo", ("--test", name))
    return None


def _holds(folder: Path, pattern: re.Pattern[str]) -> bool:
    """True when a file somewhere beneath ``folder`` matches; at most 20,000 files are looked at."""
    looked, folders = 0, [folder] if folder.is_dir() else []
    while folders:
        for place in sorted(folders.pop().iterdir()):
            looked += 1
            if looked > _MOST_FILES:
                return False
            if place.is_dir():
                if not place.is_symlink() and place.name not in _NOT_SOURCE:
                    folders.append(place)
            elif pattern.search(place.name):
                return True
    return False


def _looked_for(level: Level, wanted: Framework | None) -> str:
    folders = " or ".join(f"{name}/" for name in FOLDERS[level])
    scripts = " or ".join(f"'{name}'" for name in _SCRIPTS[level])
    python = f"pytest tests in {folders}"
    node = f"vitest or jest in package.json with tests in {folders}"
    if level == "unit":
        python = "pytest's settings, conftest.py or test_*.py in tests/"
        node = "vitest or jest in package.json"
    signs: dict[Framework, str] = {
        "pytest": python,
        "vitest": node,
        "jest": node,
        "go": "go.mod" if level == "unit" else f"go.mod with tests in {folders}",
        "cargo": "Cargo.toml" if level == "unit" else f"Cargo.toml with tests/{level}.rs",
    }
    if wanted:
        return signs[wanted]
    parts = [python, node, f"a script {scripts} in package.json", signs["go"], signs["cargo"]]
    return "; ".join(parts)
