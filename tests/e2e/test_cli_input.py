"""Bad input of each command: a message a person can act on, exit code 2, no traceback, nothing done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.product import Product

WORKFLOW = """
    name: shop
    project: shop
    params: {level: {type: integer, default: 1}}
    stages:
      - name: build
        steps:
          - {id: compile, run: shell, with: {command: 'echo compiled > made.txt; cat made.txt'}, outputs: [made.txt]}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return Product.new(tmp_path_factory.mktemp("cli") / "shop", {"maestro.yaml": WORKFLOW})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "Usage: maestro"),
        ("plam", "there is no command 'plam'; did you mean 'plan'?"),
        ("--nope plan", "no such option"),
        ("--log-format xml plan", "'xml' is not one of 'text', 'json'"),
        ("--project /nowhere plan", "there is no folder '/nowhere'"),
        ("--project / plan", "is not inside a git repository"),
        ("--file other.yaml plan", "there is no workflow file here"),
        ("--profile nope plan", "there is no profile 'nope'"),
        ("init", "there is a workflow file already"),
        ("init --template pyton", "did you mean 'python'?"),
        ("plan compil", "did you mean 'compile'?"),
        ("plan --param level=high", "is of type integer"),
        ("plan --param lvel=1", "did you mean 'level'?"),
        ("plan --param level", "is not name=value"),
        ("plan --revision nope", "there is no revision 'nope'"),
        ("run nothing", "there is no step or stage 'nothing'"),
        ("run --max-concurrent 0", "0 is not in the range"),
        ("run --watch --revision HEAD", "--watch follows this checkout"),
        ("run --revision worktree-0123456789abcdef", "is not kept on this machine"),
        ("run --remote ftp://example.com", "ftp:"),
        ("dev --port 70000", "70000 is not in the range"),
        ("status nope", "there is no run 'nope'"),
        ("status --limit 0", "0 is not in the range"),
        ("logs", "there is no run yet"),
        ("logs nope", "there is no run 'nope'"),
        ("cancel", "no run is going on"),
        ("cancel nope", "there is no run 'nope'"),
        ("retry", "there is no run yet"),
        ("retry nope --redo compile", "there is no run 'nope'"),
        ("artifacts", "Usage: maestro artifacts"),
        ("artifacts lst", "did you mean 'ls'?"),
        ("artifacts ls --run nope", "no run 'nope' has left anything"),
        ("artifacts ls --run a --revision b", "do not go together"),
        ("artifacts get compile", "step 'compile' has left nothing for this revision"),
        (f"artifacts get {'0' * 64}", "nothing is stored under"),
        ("artifacts verify 00000000", "nothing is stored under '00000000'"),
        ("artifacts gc --older-than soon", "is not an age"),
        ("config extra", "unexpected extra argument"),
        ("doctor --nope", "no such option"),
        ("schema --write /nowhere/schema.json", "the file cannot be written"),
        ("completion tcsh", "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_bad_input_is_answered(shop: Product, arguments: str, said: str) -> None:
    ended = shop.maestro(*arguments.split())
    assert ended.code == 2, ended.text
    assert said.lower() in ended.err.lower()
    assert "Traceback" not in ended.text
    assert ended.out == ""
    assert "next:" in ended.err or "Usage:" in ended.err
    assert not (shop.root / "made.txt").exists()


def test_a_wrong_workflow_is_refused_with_its_place_by_every_command_that_reads_it(tmp_path: Path) -> None:
    wrong = Product.new(tmp_path / "wrong", {"maestro.yaml": WORKFLOW.replace("run: shell", "run: shel")})
    for command in ("plan", "run", "retry", "dev"):
        ended = wrong.maestro(command)
        assert ended.code == 2, ended.text
        assert "maestro.yaml:7:" in ended.err
        assert 'did you mean "shell"?' in ended.err
    config = wrong.maestro("config")
    assert config.code == 0
    assert "cannot be read" in config.out
    doctor = wrong.maestro("doctor", "--json")
    assert doctor.code == 1
    assert not doctor.json()["ok"]
