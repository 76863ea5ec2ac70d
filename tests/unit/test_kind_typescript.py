"""Step kind ``build.typescript``: which tools it uses, what it refuses, and what it keeps."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from assets.node_packages import read_node_package
from assets.typescript import BUILD_TYPESCRIPT
from maestro.errors import InputError
from tests.unit.step_harness import Harness, harness

FAKE = '#!/bin/sh\necho "$(basename "$0") $*"\n'
BUILD = 'if [ "$1" = run ]; then mkdir -p dist && echo 1 > dist/index.js; fi\n'


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    """With package managers that only say what they were asked to do; the real ones are in tests/integration."""
    made = harness(tmp_path)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("npm", "pnpm", "yarn"):
        (folder / name).write_text(FAKE + BUILD)
    (folder / "node").write_text("#!/bin/sh\necho v20.1.0\n")
    for program in folder.iterdir():
        program.chmod(0o755)
    made.env["PATH"] = f"{folder}:{os.environ['PATH']}"
    return made


def package(**more: Any) -> str:
    return json.dumps({"name": "web", "version": "1.2.3", "scripts": {"build": "tsc"}, **more})


@pytest.mark.parametrize(
    ("lock", "install", "build", "tools"),
    [
        ("package-lock.json", "npm ci --no-audit --no-fund", "npm run build", ["node", "npm"]),
        ("pnpm-lock.yaml", "pnpm install --frozen-lockfile", "pnpm run build", ["node", "pnpm"]),
        ("yarn.lock", "yarn install --frozen-lockfile", "yarn run build", ["node", "yarn"]),
    ],
)
def test_the_lock_file_says_which_package_manager(
    step: Harness, lock: str, install: str, build: str, tools: list[str]
) -> None:
    step.write({"package.json": package(), lock: ""})
    result = step.run(BUILD_TYPESCRIPT)
    assert result.passed
    assert step.log.splitlines() == [install, build]
    assert step.requires(BUILD_TYPESCRIPT) == tools


def test_without_a_lock_file_none_is_made_and_without_dependencies_nothing_is_installed(step: Harness) -> None:
    step.write({"package.json": package()}).run(BUILD_TYPESCRIPT)
    assert step.log.splitlines() == ["npm run build"]
    step.write({"package.json": package(dependencies={"a": "1"})}).run(BUILD_TYPESCRIPT)
    assert step.log.splitlines() == ["npm install --no-audit --no-fund --no-package-lock", "npm run build"]


def test_dependencies_are_installed_again_only_when_the_lock_file_is_newer(step: Harness) -> None:
    step.write({"package.json": package(), "package-lock.json": "", "node_modules/.package-lock.json": ""})
    os.utime(step.workspace / "package-lock.json", (1000, 1000))
    step.run(BUILD_TYPESCRIPT)
    assert step.log.splitlines() == ["npm run build"]
    step.run(BUILD_TYPESCRIPT, install="always")
    assert step.log.splitlines()[0] == "npm ci --no-audit --no-fund"
    os.utime(step.workspace / "node_modules/.package-lock.json", (999, 999))
    step.run(BUILD_TYPESCRIPT)
    assert step.log.splitlines()[0] == "npm ci --no-audit --no-fund"
    step.run(BUILD_TYPESCRIPT, install="never")
    assert step.log.splitlines() == ["npm run build"]


def test_what_was_built_is_kept_and_told(step: Harness) -> None:
    result = step.write({"package.json": package()}).run(BUILD_TYPESCRIPT)
    assert [output.path for output in result.outputs] == ["dist/index.js"]
    assert result.metadata == {"name": "web", "version": "1.2.3", "node": "20.1.0", "files": 1, "bytes": 2}
    assert (result.summary, result.values) == ("1 file, 2 bytes", {"name": "web", "version": "1.2.3"})


def test_a_build_that_leaves_nothing_fails(step: Harness) -> None:
    result = step.write({"package.json": package()}).run(BUILD_TYPESCRIPT, output_directory="lib")
    assert not result.passed
    assert result.summary == "the build left no files in 'lib'; name its folder with 'output_directory'"


@pytest.mark.parametrize(
    ("script", "summary"),
    [
        ("exit 4\n", "the dependencies could not be installed (exit code 4)"),
        ('[ "$1" = run ] && exit 5 || exit 0\n', "the build failed (exit code 5)"),
        (f'{BUILD}[ "$1" = pack ] && exit 6 || exit 0\n', "the package could not be packed"),
    ],
)
def test_what_fails_is_said(step: Harness, tmp_path: Path, script: str, summary: str) -> None:
    (tmp_path / "bin/npm").write_text("#!/bin/sh\n" + script)
    result = step.write({"package.json": package(), "package-lock.json": ""}).run(BUILD_TYPESCRIPT, pack=True)
    assert (result.passed, result.summary) == (False, summary)


def test_no_package_is_an_input_error(step: Harness) -> None:
    with pytest.raises(InputError) as caught:
        step.requires(BUILD_TYPESCRIPT)
    assert caught.value.what == "there is no package.json in '.'"


def test_neither_script_nor_typescript_is_an_input_error_that_lists_the_scripts(step: Harness) -> None:
    with pytest.raises(InputError) as caught:
        step.write({"package.json": package()}).requires(BUILD_TYPESCRIPT, script="compile")
    assert caught.value.what == "package.json has no script 'compile', and there is no tsconfig.json to run tsc on"
    assert caught.value.next_step == "add the script, or name another one with 'script' (there are: build)"


def test_without_a_script_tsc_is_run_if_it_is_installed(step: Harness) -> None:
    step.write({"package.json": package(scripts={}), "tsconfig.json": "{}"})
    with pytest.raises(InputError) as caught:
        step.run(BUILD_TYPESCRIPT)
    assert caught.value.what == "package.json has no script 'build', and TypeScript is not installed"
    assert caught.value.next_step == "add it: npm install --save-dev typescript"
    step.write({"node_modules/.bin/tsc": FAKE + "mkdir dist && echo 1 > dist/a.js\n"})
    (step.workspace / "node_modules/.bin/tsc").chmod(0o755)
    assert step.run(BUILD_TYPESCRIPT).passed
    assert step.log.splitlines() == ["tsc -p ."]


def test_programs_are_found_in_the_folders_above_up_to_the_workspace(step: Harness) -> None:
    step.write({"apps/web/package.json": package(), "node_modules/.bin/tsc": ""})
    found = read_node_package(step.workspace / "apps/web", step.workspace)
    assert found is not None
    assert found.program("tsc", step.workspace) == step.workspace / "node_modules/.bin/tsc"
    assert found.program("tsc", step.workspace / "apps") is None


def test_it_says_what_it_would_do() -> None:
    params = BUILD_TYPESCRIPT.params(pack=True)
    assert BUILD_TYPESCRIPT.describe(params) == (
        "Builds the Node package in '.' with its script 'build' or tsc and packs it."
    )
