"""Step kind ``shell``."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from assets.shell import SHELL
from assets.step_files import LIMIT
from maestro.errors import InputError
from tests.unit.step_harness import Harness, harness


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    return harness(tmp_path)


def test_a_command_that_succeeds_passes_and_its_output_is_in_the_log(step: Harness) -> None:
    result = step.run(SHELL, command="echo hello")
    assert (result.passed, result.exit_code, result.summary) == (True, 0, "exit code 0")
    assert step.log == "hello\n"


def test_the_first_command_that_fails_ends_the_step(step: Harness) -> None:
    result = step.run(SHELL, command="false\necho not reached")
    assert (result.passed, result.exit_code, result.summary) == (False, 1, "exit code 1")
    assert "not reached" not in step.log


def test_a_part_of_a_pipe_that_fails_fails_the_step_in_bash(step: Harness) -> None:
    assert not step.run(SHELL, command="false | true").passed


def test_sh_runs_without_pipefail(step: Harness) -> None:
    assert step.run(SHELL, command="false | true", shell="sh").passed
    assert not step.run(SHELL, command="false; true", shell="sh").passed


def test_it_runs_in_the_working_directory(step: Harness) -> None:
    step.write({"sub/file": ""})
    step.run(SHELL, command="ls", working_directory="sub")
    assert step.log == "file\n"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere", "'working_directory' is 'nowhere', and there is no such folder in the workspace"),
        ("../x", "'working_directory' is '../x', which may lie outside the workspace"),
        ("/tmp", "'working_directory' is '/tmp', which may lie outside the workspace"),
    ],
)
def test_a_working_directory_that_cannot_be_used_is_an_input_error(step: Harness, where: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        step.run(SHELL, command="true", working_directory=where)
    assert caught.value.what == message
    assert caught.value.next_step


def test_values_are_handed_over_in_githubs_syntax(step: Harness) -> None:
    command = """
    echo 'image=registry/app@sha256:1=' >> "$MAESTRO_OUTPUT"
    printf 'notes<<END\\nfirst\\nname=second\\nEND\\n\\n' >> "$MAESTRO_OUTPUT"
    echo 'script=cat <<EOF' >> "$MAESTRO_OUTPUT"
    """
    assert step.run(SHELL, command=command).values == {
        "image": "registry/app@sha256:1=",
        "notes": "first\nname=second",
        "script": "cat <<EOF",
    }


def test_metadata_is_typed_where_it_is_json(step: Harness) -> None:
    lines = ["size=12", "ratio=0.5", "ok=true", 'rows=[{"a": 1}]', "text=hello", 'quoted="x"', "nan=NaN", "empty="]
    command = "\n".join(f"echo '{line}' >> \"$MAESTRO_METADATA\"" for line in lines)
    assert step.run(SHELL, command=command).metadata == {
        "size": 12,
        "ratio": 0.5,
        "ok": True,
        "rows": [{"a": 1}],
        "text": "hello",
        "quoted": '"x"',
        "nan": "NaN",
        "empty": "",
    }


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("a=1\\nwrong\\n", "line 2 of MAESTRO_OUTPUT is neither name=value nor name<<DELIMITER"),
        ("a<<END\\nx\\n", "line 1 of MAESTRO_OUTPUT opens 'a', which no delimiter line closes"),
        ("a<<\\nx\\n", "line 1 of MAESTRO_OUTPUT has no delimiter after '<<'"),
        (
            "a=1\\n b c=1\\n",
            "line 2 of MAESTRO_OUTPUT has a name with other characters than letters, digits, '_' and '-'",
        ),
        ("=1\\n", "line 1 of MAESTRO_OUTPUT has a name with other characters than letters, digits, '_' and '-'"),
        ("a=1\\nb=\\377\\n", "line 2 of MAESTRO_OUTPUT is not UTF-8 text"),
    ],
)
def test_a_bad_line_is_an_input_error_that_names_the_line(step: Harness, written: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        step.run(SHELL, command=f"printf '{written}' >> \"$MAESTRO_OUTPUT\"")
    assert caught.value.what == message
    assert str(caught.value.where).startswith("MAESTRO_OUTPUT:")
    assert caught.value.next_step == "write lines such as: echo 'name=value' >> \"$MAESTRO_OUTPUT\""


def test_a_bad_metadata_line_names_its_own_file(step: Harness) -> None:
    with pytest.raises(InputError, match="line 1 of MAESTRO_METADATA is neither"):
        step.run(SHELL, command='echo wrong > "$MAESTRO_METADATA"')


def test_a_bad_line_does_not_hide_that_the_command_failed(step: Harness) -> None:
    result = step.run(SHELL, command='echo wrong >> "$MAESTRO_OUTPUT"; exit 3')
    assert (result.passed, result.exit_code) == (False, 3)
    assert "line 1 of MAESTRO_OUTPUT" in step.log


def test_too_large_an_output_file_is_refused(step: Harness) -> None:
    with pytest.raises(InputError, match="more than 1,048,576 bytes to MAESTRO_OUTPUT"):
        step.run(SHELL, command=f'head -c {LIMIT + 1} /dev/zero > "$MAESTRO_OUTPUT"')


def test_an_unknown_shell_and_an_empty_command_are_refused() -> None:
    with pytest.raises(ValidationError, match="Input should be 'bash' or 'sh'"):
        SHELL.params.model_validate({"command": "x", "shell": "fish"})
    with pytest.raises(ValidationError, match="at least 1 character"):
        SHELL.params.model_validate({"command": ""})


def test_it_says_what_it_would_do_and_needs(step: Harness) -> None:
    assert SHELL.describe(SHELL.params(command="make\nmake test")) == "Runs `make` and more in bash."
    assert step.requires(SHELL, command="make", shell="sh") == ["sh"]
