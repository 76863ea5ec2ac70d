"""``--help``: quick, complete, with an example each, and what docs/cli.md says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from maestro.cli.main import COMMANDS
from maestro.cli.reference import commands, renewed
from maestro.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"pydantic", "yaml", "jinja2", "dagster", "obstore", "httpx", "rich", "watchfiles", "psutil"}
CONTEXTS = {context.command_path: context for context in commands()}


@pytest.mark.parametrize("path", CONTEXTS)
def test_the_help_of_every_command_ends_with_an_example_of_it(path: str) -> None:
    _, heading, example = CONTEXTS[path].get_help().rpartition("\nExample:\n")
    assert heading
    assert all(line.startswith("  maestro") for line in example.splitlines())
    assert path in example


@pytest.mark.parametrize("path", [path for path in CONTEXTS if " " in path])
def test_the_table_says_of_a_command_what_the_command_says_itself(path: str) -> None:
    context = CONTEXTS[path]
    parent = context.parent
    assert parent is not None
    table = COMMANDS if parent.parent is None else parent.command._table  # type: ignore[attr-defined]  # a group of ours
    assert (context.command.help or "").partition("\n")[0] == table[context.info_name]


@pytest.mark.parametrize("path", CONTEXTS)
def test_every_option_says_what_it_does(path: str) -> None:
    for parameter in CONTEXTS[path].command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts}"


@pytest.mark.parametrize("path", CONTEXTS)
def test_no_option_takes_the_place_of_a_global_one(path: str) -> None:
    names = [parameter.name for parameter in CONTEXTS[path].command.params]
    assert sorted({one for one in names if names.count(one) > 1}, key=str) == []


def test_the_help_imports_none_of_the_heavy_libraries() -> None:
    script = (
        "import sys, json, click\n"
        "from maestro.cli.main import group\n"
        "try:\n"
        "    group().main(['--help'], standalone_mode=False)\n"
        "except click.exceptions.Exit:\n"
        "    pass\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Commands:" in done.stdout
    assert not HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def test_a_plan_does_not_import_dagster(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    workflow = "name: w\nstages: [{name: a, steps: [{run: shell, with: {command: 'true'}}]}]\n"
    (tmp_path / "maestro.yaml").write_text(workflow, encoding="utf-8")
    script = (
        "import sys, json\n"
        "from maestro.cli.main import group\n"
        f"group().main(['--project', {str(tmp_path)!r}, 'plan'], standalone_mode=False)\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "1 to run" in done.stdout
    assert not {"dagster", "httpx", "rich", "sqlalchemy"} & set(json.loads(done.stdout.splitlines()[-1]))


def test_the_documented_help_is_the_live_one() -> None:
    document = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert document == renewed(document), "run: python -m maestro.cli.reference --write"


def test_a_document_without_the_markers_is_refused() -> None:
    with pytest.raises(InputError, match="markers of the help are missing"):
        renewed("# no markers\n")
