"""Whatever ends a command becomes words a person can act on, and an exit code."""

from __future__ import annotations

import click
import pytest

from maestro.cli.ending import explain
from maestro.cli.options import GlobalOptions
from maestro.errors import InputError, Location, MaestroError, RunCancelledError, RunFailedError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MaestroError("it broke", next_step="mend it"), 1, "error: it broke\n  next: mend it\n"),
        (InputError("wrong", where=Location("maestro.yaml", 3, 5)), 2, "maestro.yaml:3:5: wrong\n"),
        (RunFailedError("the run failed"), 1, "error: the run failed\n"),
        (RunCancelledError("the run was cancelled"), 130, "error: the run was cancelled\n"),
        (KeyboardInterrupt(), 130, "cancelled\n"),
        (click.Abort(), 130, "cancelled\n"),
        (click.UsageError("No such option: --foo"), 2, "error: no such option: --foo\n  next: maestro --help\n"),
        (click.exceptions.Exit(0), 0, ""),
    ],
)
def test_an_error_is_explained(error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(error, GlobalOptions()) == code
    assert capsys.readouterr().err == said


def test_what_nobody_foresaw_is_called_a_defect_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(ZeroDivisionError("by zero\nmore"), GlobalOptions()) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ZeroDivisionError: by zero; this is a defect of Maestro\n")
    assert "--debug" in said
    assert "Traceback" not in said


def test_a_name_in_capitals_stays_as_it_is_written_at_the_beginning_of_a_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    explain(click.UsageError("TEXT and --prompt exclude each other"), GlobalOptions())
    explain(click.UsageError("Missing argument."), GlobalOptions())
    said = capsys.readouterr().err
    assert "error: TEXT and --prompt exclude each other\n" in said
    assert "error: missing argument\n" in said


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(InputError("wrong"), GlobalOptions(debug=True)) == 2
    said = capsys.readouterr().err
    assert "InputError: wrong" in said
    assert said.endswith("error: wrong\n")


def test_a_library_of_an_extra_that_is_not_installed_is_no_defect(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(ModuleNotFoundError("No module named 'regorus'", name="regorus"), GlobalOptions()) == 1
    assert capsys.readouterr().err == (
        "error: this needs the extra 'evidence', which is not installed: there is no 'regorus'\n"
        "  next: pip install 'maestro-conductor[evidence]'\n"
    )


def test_a_library_of_no_extra_is_a_defect(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(ModuleNotFoundError("No module named 'nonesuch'", name="nonesuch"), GlobalOptions()) == 1
    assert "this is a defect of Maestro" in capsys.readouterr().err
