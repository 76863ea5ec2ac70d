"""The checked-in schema in a real editor's language server: completion, hover, and errors at the right line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.language_server import LanguageServer

ROOT = Path(__file__).parents[2]
NODE = ROOT / ".cache" / "node"

VALID = """\
name: product
version: 1.0
params:
  level: {type: integer, default: 3}
env:
  DEPTH: 2
stages:
  - name: build
    steps:
      - id: package
        run: build.python
        with: {wheel: '{{ params.level > 2 }}', cache_key: '{{ git.sha }}'}
        timeout: 10m
  - name: test
    parallel:
      - run: shell
        with: {command: npm test}
        retries: {max: 2, delay: 1s}
      - run: test.unit
        matrix: {python: ['3.11', '3.12']}
"""


@pytest.fixture(scope="session")
def node_programs() -> Path:
    """Node and the language server, installed on first use."""
    subprocess.run(
        [ROOT / "scripts" / "setup-node"], env={**os.environ, "PYTHON": sys.executable}, check=True, timeout=600
    )
    return NODE


@pytest.fixture
def server(node_programs: Path, tmp_path: Path) -> Iterator[LanguageServer]:
    program = node_programs / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
    argv = [str(node_programs / "bin" / "node"), str(program), "--stdio"]
    with LanguageServer(argv, schema=ROOT / "editors" / "maestro.schema.json", folder=tmp_path) as running:
        yield running


def test_a_valid_workflow_has_nothing_underlined(server: LanguageServer) -> None:
    assert server.diagnostics(server.open("maestro.yaml", VALID)) == []


@pytest.mark.parametrize(
    ("wrong", "right", "line", "words"),
    [
        ("tiemout: 10m", "timeout: 10m", 12, "tiemout"),
        ("timeout: soon", "timeout: 10m", 12, "a duration"),
        ("run: shel\n", "run: shell\n", 15, "shell"),
        ("comand: npm test", "command: npm test", 16, "comand"),
        ("max: many", "max: 2", 17, "integer"),
        ("wheel: sometimes", "wheel: '{{ params.level > 2 }}'", 11, ""),
    ],
)
def test_a_mistake_is_underlined_on_its_line(
    server: LanguageServer, wrong: str, right: str, line: int, words: str
) -> None:
    assert right in VALID
    found = server.diagnostics(server.open("maestro.yaml", VALID.replace(right, wrong)))
    assert {item["range"]["start"]["line"] for item in found} == {line}
    assert words in " ".join(item["message"] for item in found)


def test_the_keys_of_a_step_are_offered_below_it(server: LanguageServer) -> None:
    text = "name: product\nstages:\n  - name: build\n    steps:\n      - run: shell\n        \n"
    offered = server.completions(server.open("maestro.yaml", text), 5, 8)
    assert {"with", "depends_on", "retries", "timeout", "matrix"} <= set(offered)
    assert "run" not in offered


def test_the_step_kinds_are_offered_after_run(server: LanguageServer) -> None:
    text = "name: product\nstages:\n  - name: build\n    steps:\n      - run: \n"
    offered = server.completions(server.open("maestro.yaml", text), 4, 13)
    assert {"shell", "build.python", "test.unit", "artifact.put"} <= set(offered)


def test_the_parameters_of_the_kind_are_offered_under_with(server: LanguageServer) -> None:
    text = "name: product\nstages:\n  - name: build\n    steps:\n      - run: build.python\n        with:\n          \n"
    offered = server.completions(server.open("maestro.yaml", text), 6, 10)
    assert {"wheel", "sdist"} <= set(offered)
    assert "command" not in offered


def test_hovering_over_a_key_shows_what_it_means(server: LanguageServer) -> None:
    uri = server.open("maestro.yaml", VALID)
    assert "Longest time one attempt may take" in server.hover(uri, 12, 10)
    assert "Unique in the workflow" in server.hover(uri, 9, 9)
