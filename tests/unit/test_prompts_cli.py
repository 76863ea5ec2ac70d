"""`maestro prompts`: list, render, test and diff, as a person calls them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maestro.cli.main import group
from maestro.cli.options import GlobalOptions
from maestro.errors import InputError
from maestro.prompts import PromptErrors
from tests.unit.prompt_files import prompt_text

Maestro = Callable[..., Result]
GREET = prompt_text("Hello {{ name }}", "name: {type: string}\nage: {type: integer, default: 1}")


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/greet.yaml").write_text(GREET)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


@pytest.fixture
def maestro(project: Path) -> Maestro:
    def run(*arguments: str, stdin: str | bytes = "") -> Result:
        options = GlobalOptions(project=project)
        return CliRunner().invoke(group(), ["prompts", *arguments], obj=options, standalone_mode=False, input=stdin)

    return run


def refusal(done: Result) -> str:
    assert isinstance(done.exception, InputError)
    return str(done.exception)


def test_the_projects_prompts_and_maestros_are_listed(maestro: Maestro) -> None:
    done = maestro("list")
    assert (done.return_value, done.exception) == (0, None)
    rows = {line.split()[0]: line.split()[1:3] for line in done.output.splitlines()[1:]}
    assert rows["greet"] == ["1.0.0", "project"]
    assert rows["code_review"][1] == "maestro"
    (greet,) = [one for one in json.loads(maestro("list", "--json").output)["prompts"] if one["name"] == "greet"]
    assert greet["variables"]["properties"]["age"] == {"type": "integer", "default": 1}
    assert greet["digest"].startswith("sha256:")


def test_a_prompt_that_cannot_be_used_is_listed_with_what_is_wrong(project: Path, maestro: Maestro) -> None:
    (project / "prompts/other.yaml").write_text("name: other\n")
    done = maestro("list")
    assert done.return_value == 1
    assert "other.yaml:1:1: the key 'messages' is missing" in done.output
    assert "greet" in done.output


def test_a_prompt_is_rendered_with_text_json_files_and_standard_input(project: Path, maestro: Maestro) -> None:
    assert maestro("render", "greet", "--var", "name=Ada").stdout == "--- user\nHello Ada\n"
    assert "Hello 42" in maestro("render", "greet", "--var", "name=42", "--var", "age=2").output
    (project / "name.txt").write_bytes(b"Gr\xc3\xa4fin \xf0\x9f\x91\x91")
    assert "Hello Gräfin 👑" in maestro("render", "greet", "--var", f"name=@{project / 'name.txt'}").output
    assert "Hello you" in maestro("render", "greet", "--var", "name=@-", stdin="you").output
    data = json.loads(maestro("render", "greet", "--var", "name=x", "--json").output)
    assert data["messages"] == [{"role": "user", "content": "Hello x"}]
    assert data["estimated_input_tokens"] == 4


def test_a_variable_that_is_not_utf_8_is_refused_with_its_place(project: Path, maestro: Maestro) -> None:
    file = project / "name.txt"
    file.write_bytes(b"Gr\xc3\xa4fin \xff")
    words = refusal(maestro("render", "greet", "--var", f"name=@{file}"))
    assert f"{file}: not UTF-8 at byte 8" in words
    assert "give text, encoded as UTF-8" in words
    assert "standard input: not UTF-8 at byte 1" in refusal(
        maestro("render", "greet", "--var", "name=@-", stdin=b"a\xff")
    )
    argument = b"name=caf\xe9".decode("utf-8", "surrogateescape")
    assert "the argument --var name is not UTF-8 at byte 3" in refusal(maestro("render", "greet", "--var", argument))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gret"], "there is no prompt 'gret'; did you mean 'greet'?"),
        (["greet", "--var", "nam=x"], "there is no variable 'nam'; did you mean \"name\"?"),
        (["greet", "--var", "name=x", "--var", "age=old"], "'age' is not of type \"integer\""),
        (["greet", "--var", "name"], "--var takes NAME=VALUE; found 'name'"),
        (["greet", "--var", "name=x", "--var", "name=y"], "--var gives 'name' twice"),
        (["greet", "--var", "name=@/no/such/file"], "/no/such/file: it cannot be read: No such file"),
        (["greet"], "'name' has no value"),
    ],
)
def test_what_cannot_be_rendered_is_told(arguments: list[str], words: str, maestro: Maestro) -> None:
    assert words in refusal(maestro("render", *arguments))


def test_tests_fail_until_their_snapshots_are_written_and_pass_then(project: Path, maestro: Maestro) -> None:
    (project / "prompts/greet.yaml").write_text(f"{GREET}tests: [{{name: Ada, variables: {{name: Ada}}}}]\n")
    done = maestro("test")
    assert done.return_value == 1
    assert "it has no snapshot (ada.txt)" in done.output
    assert "1 test, 1 failed" in done.output
    assert "1 snapshot written" in maestro("test", "--update").output
    done = maestro("test", "--json")
    assert (done.return_value, json.loads(done.output)["passed"]) == (0, True)
    assert "no test has 'Bob' in its name" in refusal(maestro("test", "--run", "Bob"))
    assert "there is no prompt 'bob'" in refusal(maestro("test", "bob"))


def test_a_prompt_without_a_test_is_named(maestro: Maestro) -> None:
    done = maestro("test")
    assert done.return_value == 0
    assert "greet has no test" in done.output


def test_maestros_own_prompts_are_tested_where_a_project_has_none(project: Path, maestro: Maestro) -> None:
    (project / "prompts/greet.yaml").unlink()
    done = maestro("test")
    assert (done.return_value, done.exception) == (0, None)
    assert "0 failed" in done.output


def test_a_change_since_the_last_commit_is_shown_and_strict_about_the_version(project: Path, maestro: Maestro) -> None:
    assert "what it asks is the same" in maestro("diff", "greet").output
    (project / "prompts/greet.yaml").write_text(GREET.replace("Hello", "Good day"))
    done = maestro("diff", "greet")
    assert done.return_value == 0
    assert "-Hello {{ name }}" in done.output
    assert "warning: what it asks changed without a new version" in done.output
    strict = maestro("diff", "greet", "--strict", "--json")
    assert strict.return_value == 1
    assert json.loads(strict.output)["verdict"] == "not_renumbered"
    (project / "prompts/greet.yaml").write_text(GREET.replace("Hello", "Good day").replace("1.0.0", "1.1.0"))
    assert maestro("diff", "greet", "--strict").return_value == 0


def test_two_revisions_and_two_files_are_compared(project: Path, maestro: Maestro) -> None:
    new = project / "prompts/greet.yaml"
    new.write_text(GREET.replace("Hello", "Good day").replace("1.0.0", "2"))
    git(project, "commit", "--quiet", "--all", "-m", "two")
    done = maestro("diff", "greet@HEAD~1", "HEAD")
    assert "version 1.0.0 -> 2" in done.output
    (project / "old").mkdir()
    (project / "old/greet.yaml").write_text(GREET)
    assert "version 1.0.0 -> 2" in maestro("diff", str(project / "old/greet.yaml"), str(new)).output


def test_two_files_are_compared_whatever_they_are_called(project: Path, maestro: Maestro) -> None:
    old, new = project / "before.yaml", project / "after.yaml"
    old.write_text(GREET)
    new.write_text(GREET.replace("Hello", "Good day"))
    assert "-Hello {{ name }}" in maestro("diff", str(old), str(new)).output
    new.write_text(GREET.replace("Hello {{ name }}", "Hello {{ nobody }}"))
    assert "after.yaml" in refusal(maestro("diff", str(old), str(new)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["greet@v9"], "there is no revision 'v9'"),
        (["greet@--output=x"], "there is no revision '--output=x'"),
        (["greet@"], "'greet@' has no revision behind '@'"),
        (["gret"], "there is no prompt 'gret'"),
        (["triage"], "the prompt 'triage' comes with Maestro and has no revisions here"),
        (["a.yaml"], "a file is compared with another file"),
    ],
)
def test_what_cannot_be_compared_is_told(arguments: list[str], words: str, maestro: Maestro) -> None:
    assert words in refusal(maestro("diff", *arguments))


def test_a_prompt_that_was_wrong_once_is_told_with_the_revision(project: Path, maestro: Maestro) -> None:
    (project / "prompts/greet.yaml").write_text("name: greet\n")
    git(project, "commit", "--quiet", "--all", "-m", "wrong")
    with pytest.raises(PromptErrors, match=r"HEAD:prompts/greet\.yaml:1:1"):
        raise maestro("diff", "greet").exception or AssertionError


def test_outside_of_a_repository_maestros_prompts_are_there(tmp_path: Path) -> None:
    options = GlobalOptions(project=tmp_path)
    done = CliRunner().invoke(group(), ["prompts", "list"], obj=options, standalone_mode=False)
    assert "code_review" in done.output
