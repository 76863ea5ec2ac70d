"""``maestro init`` looks at a repository and writes a workflow that loads."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from maestro.cli.surroundings import look, untidy, words
from maestro.errors import InputError
from maestro.project import Project
from maestro.steps import Registry
from maestro.workflow.load import LoadedWorkflow, load_text
from maestro.workflow.templates import TEMPLATES, Found, assumed, check_template, compose

PYPROJECT = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n[project]\nname = "x"\n'
PACKAGE = {
    "scripts": {"build": "tsc", "lint": "eslint .", "test": "vitest run"},
    "devDependencies": {"typescript": "5", "vitest": "3"},
}
PYTHON = {"pyproject.toml": PYPROJECT, "tests/unit/test_a.py": "", "tests/integration/test_b.py": ""}
TYPESCRIPT = {
    "package.json": json.dumps(PACKAGE),
    "package-lock.json": "{}",
    "tsconfig.json": '{ // where\n "compilerOptions": {"outDir": "./lib",},\n}',
}
GO = {"go.mod": "module x\n"}
RUST = {"Cargo.toml": '[package]\nname = "x"\n'}
MAKE = {"Makefile": "VERSION := 1\nbuild: a\n\techo b\nlint check:\n\techo l\ntest := no\n"}
KINDS = [
    name
    for name in Registry().names
    if name in ("shell", "build.python", "build.typescript", "image.build") or "test." in name
]


def repository(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def loaded(text: str) -> LoadedWorkflow:
    return load_text(text.encode(), file="maestro.yaml", registry=Registry())


def steps(text: str) -> dict[str, str]:
    workflow = loaded(text).workflow
    return {f"{stage.name}/{step.id}": step.run for stage in workflow.stages for step in stage.members}


def test_a_python_package_is_built_and_tested(tmp_path: Path) -> None:
    found = look(repository(tmp_path, PYTHON))
    assert words(found) == ["a Python package", "unit tests (pytest)", "integration tests (pytest)"]
    assert steps(compose("x", found, KINDS)) == {
        "build/python-packages": "build.python",
        "test/unit": "test.unit",
        "test/integration": "test.integration",
    }


def test_a_typescript_package_is_installed_built_checked_and_tested(tmp_path: Path) -> None:
    found = look(repository(tmp_path, TYPESCRIPT))
    text = compose("x", found, KINDS)
    assert steps(text) == {
        "prepare/node-modules": "shell",
        "build/typescript": "build.typescript",
        "check/lint": "shell",
        "test/unit": "test.unit",
    }
    assert "output_directory: lib" in text
    assert "npm ci" in text


def test_a_makefile_gives_its_targets_and_no_assignment(tmp_path: Path) -> None:
    found = look(repository(tmp_path, MAKE))
    assert list(found.make) == ["build", "lint", "check"]
    assert set(steps(compose("x", found, KINDS))) == {"build/make-build", "check/make-lint", "check/make-check"}


def test_a_repository_of_everything_gets_every_stage(tmp_path: Path) -> None:
    files = {**PYTHON, **TYPESCRIPT, **GO, **RUST, **MAKE, "Dockerfile": "FROM scratch\n"}
    text = compose("x", look(repository(tmp_path, files)), KINDS)
    found = steps(text)
    assert {"build/python-packages", "build/typescript", "build/go-build", "build/rust-build"} <= set(found)
    assert {"test/unit-pytest", "test/unit-vitest", "test/unit-go", "test/unit-cargo"} <= set(found)
    assert "make build" in text
    assert found["package/image"] == "image.build"
    assert "The image of Dockerfile" in text
    assert not set(found.values()) - set(KINDS)


def test_an_empty_repository_gets_a_workflow_to_start_from(tmp_path: Path) -> None:
    assert steps(compose("x", look(tmp_path), KINDS)) == {"build/hello": "shell"}


def test_a_script_that_runs_tests_is_taken_when_no_framework_is_known(tmp_path: Path) -> None:
    package = json.dumps({"scripts": {"test": "node --test"}})
    found = look(repository(tmp_path, {"package.json": package}))
    assert steps(compose("x", found, KINDS)) == {"test/unit": "test.unit"}


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_loads_without_a_problem(template: str) -> None:
    assert loaded(compose("x", assumed(template, Found()), KINDS)).workflow.stages


def test_step_kinds_that_are_not_installed_are_not_written() -> None:
    found = assumed("python", Found())
    assert set(steps(compose("x", found, ["shell"])).values()) == {"shell"}


def test_an_unknown_template_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(InputError) as caught:
        check_template("pyton")
    assert caught.value.what == "there is no template 'pyton'"
    assert caught.value.next_step == f"did you mean 'python'? templates: {', '.join(TEMPLATES)}"


def test_folders_git_does_not_ignore_are_named(tmp_path: Path) -> None:
    root = repository(tmp_path, {**TYPESCRIPT, ".gitignore": "lib\n"})
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    project = Project.find(root, environ={})
    assert untidy(project, look(root)) == ["node_modules/"]
    (root / ".gitignore").write_text("node_modules\n", encoding="utf-8")
    assert untidy(project, look(root)) == []
