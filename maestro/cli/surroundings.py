"""Looks at a repository: which languages, builds, checks and tests it has."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import get_args

from assets.frameworks import Framework, Level, detect
from assets.node_packages import NodePackage, read_node_package
from maestro.errors import InputError
from maestro.project import Project
from maestro.workflow.templates import Found, Tests

_CONTAINER_FILES = ("Containerfile", "Dockerfile")
_MAKE_FILES = ("GNUmakefile", "makefile", "Makefile")
_MAKE_TARGETS = ("build", "lint", "check", "test")
_CHECK_SCRIPTS = ("lint", "typecheck", "type-check", "check", "format:check")
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.S)


def look(root: Path) -> Found:
    """What the repository at ``root`` has.

    Raises:
        InputError: its ``package.json`` cannot be read.
    """
    package = read_node_package(root, root)
    return Found(
        python_package=_python_package(root),
        node=_install(package) if package else None,
        node_build=_node_build(root, package) if package else None,
        node_output=_typescript_output(root),
        node_scripts=[name for name in _CHECK_SCRIPTS if package and package.has_script(name)],
        run_script=f"{package.manager} run" if package else "npm run",
        go=(root / "go.mod").is_file(),
        rust=(root / "Cargo.toml").is_file(),
        make=_make_targets(root),
        container_file=next((name for name in _CONTAINER_FILES if (root / name).is_file()), None),
        tests=_tests(root),
    )


def words(found: Found) -> list[str]:
    """What was found, for people."""
    frameworks = [f"{tests.level} tests ({tests.framework or 'script'})" for tests in found.tests]
    told = [
        "a Python package" if found.python_package else "",
        "a Node package" if found.node is not None else "",
        "TypeScript" if found.node_build == "typescript" else "",
        "a Go module" if found.go else "",
        "a Rust crate" if found.rust else "",
        f"a Makefile ({', '.join(found.make)})" if found.make else "",
        found.container_file or "",
    ]
    return [one for one in [*told, *frameworks] if one]


def untidy(project: Project, found: Found) -> list[str]:
    """Folders that building and testing makes and git does not ignore; they would count as source."""
    pytest = any(tests.framework == "pytest" for tests in found.tests)
    made = [
        ("__pycache__/", found.python_package or pytest),
        ("node_modules/", bool(found.node)),
        ("target/", found.rust),
    ]
    candidates = dict.fromkeys(name for name, wanted in made if wanted)
    return [name for name in candidates if project.git.ask("check-ignore", "--quiet", "--no-index", name) is None]


def _python_package(root: Path) -> bool:
    if (root / "setup.py").is_file():
        return True
    try:
        settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # A file that only configures tools builds nothing.
    return "project" in settings or "build-system" in settings


def _install(package: NodePackage) -> str:
    if not package.lock and not package.dependencies:
        return ""
    command = shlex.join(package.install_argv())
    if package.manager != "npm":
        return command
    source = package.lock.name if package.lock else "package.json"
    return f"[ node_modules/.package-lock.json -nt {source} ] || {command}"


def _node_build(root: Path, package: NodePackage) -> str | None:
    if "typescript" in package.dependencies and (package.has_script("build") or (root / "tsconfig.json").is_file()):
        return "typescript"
    return "build" if package.has_script("build") else None


def _typescript_output(root: Path) -> str:
    """``outDir`` of tsconfig.json, which is JSON with comments."""
    try:
        text = (root / "tsconfig.json").read_text(encoding="utf-8")
        settings = json.loads(re.sub(r",(\s*[}\]])", r"\1", _COMMENT.sub(lambda found: found[1] or "", text)))
        folder = str(settings["compilerOptions"]["outDir"])
    except (OSError, ValueError, KeyError, TypeError):
        return "dist"
    folder = folder.removeprefix("./").rstrip("/")
    return folder if re.fullmatch(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)*", folder) else "dist"


def _make_targets(root: Path) -> list[str]:
    file = next((root / name for name in _MAKE_FILES if (root / name).is_file()), None)
    if file is None:
        return []
    text = file.read_text(encoding="utf-8", errors="replace")
    return [
        name for name in _MAKE_TARGETS if re.search(rf"^(?:[^\s#:=]+[ \t]+)*{name}(?:[ \t][^:=\n]*)?:(?!=)", text, re.M)
    ]


def _tests(root: Path) -> list[Tests]:
    package = read_node_package(root, root)
    found: list[Tests] = []
    for level in get_args(Level):
        # Without being asked for one by name, a framework is found only where its own files say so.
        several = [one for one in get_args(Framework) if _is_there(root, level, one, package)]
        if several:
            found += [Tests(level, one) for one in several]
        elif _script(root, level):
            found.append(Tests(level, None))
    return found


def _is_there(root: Path, level: Level, framework: Framework, package: NodePackage | None) -> bool:
    if framework in ("vitest", "jest") and (package is None or framework not in package.dependencies):
        return False
    if framework == "pytest" and not _python_tests(root, level):
        return False
    try:
        detect(root, root, level, framework, ())
    except InputError:
        return False
    return True


def _python_tests(root: Path, level: Level) -> bool:
    try:
        return detect(root, root, level, None, ()).framework == "pytest"
    except InputError as error:
        # Only "several are in use: pytest and …" names what is there; else the message says what was looked for.
        return error.what.startswith("several") and "pytest" in error.what


def _script(root: Path, level: Level) -> bool:
    try:
        return detect(root, root, level, None, ()).framework == "script"
    except InputError:
        return False
