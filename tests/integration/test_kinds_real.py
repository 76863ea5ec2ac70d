"""The step kinds with the real tools: hatchling and git, npm with TypeScript, vitest and jest, go, cargo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from assets.junit import read_reports
from assets.python_packages import BUILD_PYTHON
from assets.tests import TEST_E2E, TEST_INTEGRATION, TEST_UNIT
from assets.typescript import BUILD_TYPESCRIPT
from maestro.steps import StepResult
from tests.unit.step_harness import Harness, harness

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
needs_cargo = pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed")

JAVASCRIPT_TEST = """
describe('sum', () => {
  it('adds', () => { expect(1 + 1).toBe(2) })
  it('fails', () => {
    expect(1 + 1).toBe(3)
  })
  it.skip('later', () => {})
})
"""


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    return harness(tmp_path)


def cases(step: Harness, result: StepResult) -> dict[str, str]:
    [output] = result.outputs
    return {case.name: case.status for case in read_reports([step.workspace / output.path]).cases}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    date = "2020-05-05T05:05:05+00:00"
    subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        env={**os.environ, "GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date},
        capture_output=True,
        check=True,
    )


def test_a_wheel_and_an_sdist_built_twice_from_one_revision_are_the_same_bytes(step: Harness) -> None:
    step.write(
        {
            "pyproject.toml": """
                [build-system]
                requires = ["hatchling"]
                build-backend = "hatchling.build"
                [project]
                name = "thing"
                version = "1.2.3"
                requires-python = ">=3.9"
            """,
            "thing/__init__.py": "x = 1\n",
            ".gitignore": "dist/\n",
        }
    )
    git(step.workspace, "init", "-q")
    git(step.workspace, "add", ".")
    git(step.workspace, "commit", "-q", "-m", "first")
    built = []
    for age in (1_600_000_000, 1_700_000_000):
        os.utime(step.workspace / "thing/__init__.py", (age, age))
        result = step.run(BUILD_PYTHON, python=sys.executable, isolation=False)
        assert result.passed, step.log
        built.append([(step.workspace / output.path).read_bytes() for output in result.outputs])
    assert built[0] == built[1]
    assert [(output.name, output.path, output.media_type) for output in result.outputs] == [
        ("sdist", "dist/thing-1.2.3.tar.gz", "application/gzip"),
        ("wheel", "dist/thing-1.2.3-py3-none-any.whl", "application/zip"),
    ]
    assert result.values == {"name": "thing", "version": "1.2.3"}
    assert (result.metadata["requires_python"], result.metadata["files"]) == (">=3.9", 4)
    with tarfile.open(step.workspace / "dist/thing-1.2.3.tar.gz") as archive:
        assert {member.mtime for member in archive} == {1588655105}


def test_typescript_is_installed_compiled_and_packed(step: Harness) -> None:
    about = {"name": "thing", "version": "1.0.0", "files": ["dist"], "devDependencies": {"typescript": "5.9.3"}}
    options = {"outDir": "dist", "declaration": True, "types": []}
    step.write(
        {
            "package.json": json.dumps(about),
            "tsconfig.json": json.dumps({"compilerOptions": options, "include": ["src"]}),
            "src/index.ts": "export const one: number = 1\n",
        }
    )
    lock = ["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"]
    subprocess.run(lock, cwd=step.workspace, capture_output=True, check=True)
    result = step.run(BUILD_TYPESCRIPT, pack=True)
    assert result.passed, step.log
    assert {output.path for output in result.outputs} == {"dist/index.js", "dist/index.d.ts", "thing-1.0.0.tgz"}
    assert result.metadata["files"] == 2
    with tarfile.open(step.workspace / "thing-1.0.0.tgz") as archive:
        assert "package/dist/index.js" in archive.getnames()

    again = step.write({"src/index.ts": "export const one: number = 'one'\n"}).run(BUILD_TYPESCRIPT)
    assert (again.passed, again.summary) == (False, "the build failed (exit code 2)")
    assert "src/index.ts(1,14): error TS2322" in step.log
    assert "added" not in step.log, "node_modules is up to date"


def node_project(step: Harness, framework: str, version: str, imports: str = "") -> Harness:
    about = {"name": "thing", "private": True, "type": "module", "devDependencies": {framework: version}}
    if framework == "jest":
        about.pop("type")
    step.write({"package.json": json.dumps(about), "src/sum.test.js": imports + JAVASCRIPT_TEST})
    step.write({"e2e/page.test.js": imports + "it('opens', () => {})\n"})
    install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(install, cwd=step.workspace, capture_output=True, check=True)
    return step


def check_node(step: Harness, names: list[str]) -> None:
    result = step.run(TEST_UNIT)
    assert (result.passed, result.summary) == (False, "1 passed, 1 failed, 1 skipped"), step.log
    assert list(cases(step, result)) == names
    [failure] = result.metadata["failures"]
    line = (step.workspace / "src/sum.test.js").read_text().splitlines().index("    expect(1 + 1).toBe(3)") + 1
    assert (failure["file"], failure["line"]) == ("src/sum.test.js", line)
    assert step.run(TEST_E2E).summary == "1 passed"
    none = step.run(TEST_UNIT, paths=["nothing-here"])
    assert (none.passed, none.summary.startswith("no tests ran")) == (False, True)


def test_vitest_runs_and_reports(step: Harness) -> None:
    node_project(step, "vitest", "^3.2.4", "import { describe, expect, it } from 'vitest'\n")
    check_node(step, ["sum > adds", "sum > fails", "sum > later"])


def test_jest_runs_and_reports(step: Harness) -> None:
    node_project(step, "jest", "^30.0.0")
    check_node(step, ["sum adds", "sum fails", "sum later"])
    # Words after an option that takes a list stay what they are.
    assert step.run(TEST_UNIT, arguments=["-t", "adds"]).summary == "1 passed, 2 skipped"


@needs_go
def test_go_runs_and_reports(step: Harness) -> None:
    step.env.update(GOFLAGS="-mod=mod", GOTOOLCHAIN="local")
    step.write(
        {
            "go.mod": "module example.com/thing\n\ngo 1.18\n",
            "sub/a_test.go": (
                'package sub\n\nimport "testing"\n\nfunc TestGood(t *testing.T) {}\n\n'
                'func TestBad(t *testing.T) {\n\tt.Error("no good")\n}\n'
            ),
        }
    )
    result = step.run(TEST_UNIT)
    assert (result.passed, result.summary) == (False, "1 passed, 1 failed"), step.log
    assert cases(step, result) == {"TestGood": "passed", "TestBad": "failed"}
    [failure] = result.metadata["failures"]
    assert (failure["file"], failure["line"], failure["message"]) == ("sub/a_test.go", 8, "no good")
    assert "--- FAIL: TestBad" in step.log
    assert step.run(TEST_UNIT, arguments=["-run", "TestGood"]).summary == "1 passed"
    assert step.run(TEST_UNIT, arguments=["-run", "TestNone"]).summary == "no tests ran"


@needs_cargo
def test_cargo_runs_and_reports(step: Harness) -> None:
    step.write(
        {
            "Cargo.toml": '[package]\nname = "thing"\nversion = "0.1.0"\nedition = "2021"\n',
            "src/lib.rs": '#[test]\nfn good() {}\n#[test]\nfn bad() {\n    assert!(false, "no good");\n}\n',
            "tests/whole.rs": "#[test]\nfn whole() {}\n",
        }
    )
    result = step.run(TEST_UNIT)
    assert (result.passed, result.summary) == (False, "2 passed, 1 failed"), step.log
    [failure] = result.metadata["failures"]
    assert (failure["file"], failure["line"], failure["message"]) == ("src/lib.rs", 5, "no good")
    assert step.run(TEST_INTEGRATION).summary == "1 passed"
    step.write({"src/lib.rs": "nonsense\n"})
    broken = step.run(TEST_UNIT)
    assert (broken.passed, broken.summary) == (False, "no tests ran (exit code 101)")
