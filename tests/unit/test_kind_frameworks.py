"""How the framework of a project's tests is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets.frameworks import Framework, Level, TestSetup, detect
from assets.tests import TEST_E2E, TEST_UNIT
from maestro.errors import InputError
from tests.unit.step_harness import Harness, harness

VITEST = '{"devDependencies": {"vitest": "3"}}'
JEST = '{"devDependencies": {"jest": "30"}, "scripts": {"test": "jest"}}'
PLACEHOLDER = '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'


@pytest.fixture
def project(tmp_path: Path) -> Harness:
    return harness(tmp_path)


def found(project: Harness, level: Level = "unit", wanted: Framework | None = None, *paths: str) -> TestSetup:
    return detect(project.workspace, project.workspace, level, wanted, paths)


@pytest.mark.parametrize(
    ("files", "framework"),
    [
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "pytest"),
        ({"pytest.ini": ""}, "pytest"),
        ({"setup.cfg": "[tool:pytest]\n"}, "pytest"),
        ({"tox.ini": "[pytest]\n"}, "pytest"),
        ({"conftest.py": ""}, "pytest"),
        ({"tests/deep/test_a.py": ""}, "pytest"),
        ({"test_a.py": ""}, "pytest"),
        ({"package.json": VITEST}, "vitest"),
        ({"package.json": JEST}, "jest"),
        ({"go.mod": "module m\n"}, "go"),
        ({"Cargo.toml": ""}, "cargo"),
        ({"package.json": '{"scripts": {"test": "node --test"}}'}, "script"),
        ({"package.json": '{"scripts": {"test": "pytest"}}', "tests/test_a.py": ""}, "pytest"),
    ],
)
def test_unit_tests_are_found_by_the_projects_files(project: Harness, files: dict[str, str], framework: str) -> None:
    assert found(project.write(files)).framework == framework


@pytest.mark.parametrize("files", [{}, {"package.json": PLACEHOLDER}, {"pyproject.toml": "[project]\n"}])
def test_nothing_found_lists_what_was_looked_for(project: Harness, files: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        project.write(files).requires(TEST_UNIT)
    assert caught.value.what == (
        "no unit tests were found in 'workspace'; looked for pytest's settings, conftest.py or test_*.py in tests/; "
        "vitest or jest in package.json; a script 'test:unit' or 'test' in package.json; go.mod; Cargo.toml"
    )
    assert caught.value.next_step is not None
    assert "'command'" in caught.value.next_step


def test_no_end_to_end_tests_lists_the_conventional_folders(project: Harness) -> None:
    with pytest.raises(InputError) as caught:
        project.write({"pytest.ini": "", "package.json": JEST, "go.mod": ""}).requires(TEST_E2E)
    assert "no e2e tests were found" in caught.value.what
    assert "pytest tests in tests/e2e/ or test/e2e/ or e2e/" in caught.value.what
    assert "Cargo.toml with tests/e2e.rs" in caught.value.what


def test_a_framework_that_is_asked_for_and_not_there_says_so(project: Harness) -> None:
    with pytest.raises(InputError, match=r"no go tests were found in 'workspace'; looked for go\.mod\n"):
        found(project, "unit", "go")


def test_several_frameworks_are_not_chosen_between(project: Harness) -> None:
    project.write({"tests/test_a.py": "", "package.json": VITEST})
    with pytest.raises(InputError) as caught:
        found(project)
    assert caught.value.what == "several test frameworks are in use in 'workspace': pytest and vitest"
    assert caught.value.next_step == "give each a step of its own that names its 'framework'"
    assert found(project, "unit", "vitest").framework == "vitest"


def test_unit_tests_leave_the_other_levels_out(project: Harness) -> None:
    project.write({"tests/test_a.py": "", "tests/e2e/test_b.py": "", "tests/integration/test_c.py": ""})
    assert found(project).ignored == ("tests/integration", "tests/e2e")
    assert found(project.write({"tests/unit/test_d.py": ""})).paths == ("tests/unit",)


@pytest.mark.parametrize(
    ("level", "files", "setup"),
    [
        ("integration", {"tests/integration/test_a.py": ""}, ("pytest", ("tests/integration",))),
        ("e2e", {"e2e/login_test.py": ""}, ("pytest", ("e2e",))),
        ("e2e", {"package.json": VITEST, "e2e/a.spec.ts": ""}, ("vitest", ("e2e",))),
        ("integration", {"package.json": JEST, "test/integration/a.test.js": ""}, ("jest", ("test/integration",))),
        ("e2e", {"go.mod": "", "e2e/a_test.go": ""}, ("go", ("./e2e/...",))),
        ("integration", {"Cargo.toml": "", "tests/api.rs": ""}, ("cargo", ("--test", "*"))),
        ("integration", {"Cargo.toml": "", "tests/integration/main.rs": ""}, ("cargo", ("--test", "integration"))),
        ("e2e", {"Cargo.toml": "", "tests/e2e.rs": ""}, ("cargo", ("--test", "e2e"))),
    ],
)
def test_other_levels_are_found_by_their_folders(
    project: Harness, level: Level, files: dict[str, str], setup: tuple[str, tuple[str, ...]]
) -> None:
    one = found(project.write(files), level)
    assert (one.framework, one.paths) == setup


def test_a_script_named_for_the_level_is_the_projects_own_word(project: Harness) -> None:
    project.write({"package.json": '{"devDependencies": {"jest": "30"}, "scripts": {"test:e2e": "playwright test"}}'})
    project.write({"e2e/a.spec.js": ""})
    one = found(project, "e2e")
    assert (one.framework, one.script) == ("script", "test:e2e")
    assert project.requires(TEST_E2E) == ["node", "npm"]


def test_paths_take_the_place_of_the_folders(project: Harness) -> None:
    project.write({"pytest.ini": ""})
    assert found(project, "e2e", None, "browser").paths == ("browser",)
    project.write({"Cargo.toml": ""})
    assert found(project, "unit", "cargo", "tests/api.rs").paths == ("--test", "api")


def test_other_peoples_tests_are_not_the_projects(project: Harness) -> None:
    project.write({"package.json": VITEST, "e2e/node_modules/x/a.test.js": ""})
    with pytest.raises(InputError):
        found(project, "e2e")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"package.json": "{"}, "package.json:1:2: package.json cannot be read: Expecting property name"),
        ({"package.json": "[]"}, "package.json: package.json cannot be read: it is no object"),
        ({"package.json": "{}", "yarn.lock": "", "package-lock.json": ""}, "package-lock.json and yarn.lock lie side"),
    ],
)
def test_a_package_that_cannot_be_understood_is_an_input_error(
    project: Harness, files: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        found(project.write(files))
    assert message in str(caught.value)
    assert caught.value.next_step


def test_each_framework_names_its_tools(project: Harness) -> None:
    assert project.write({"go.mod": ""}).requires(TEST_UNIT) == ["go"]
    assert project.write({"Cargo.toml": ""}).requires(TEST_UNIT, framework="cargo") == ["cargo"]
    assert project.write({"package.json": VITEST}).requires(TEST_UNIT, framework="vitest") == ["node"]
