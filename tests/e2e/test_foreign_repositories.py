"""Repositories Maestro has never seen: ``maestro init``, ``plan`` and ``run``, and the lineage of two revisions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance

from tests.e2e.product import Product

PYTHON = {
    ".gitignore": "dist/\n__pycache__/\n*.egg-info/\n.pytest_cache/\n",
    "README.md": "# Greeter\n",
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "greeter"
        version = "1.2.3"

        [tool.hatch.build.targets.wheel]
        packages = ["src/greeter"]

        [tool.pytest.ini_options]
        pythonpath = ["src"]
        """,
    "src/greeter/__init__.py": """
        def greet(name: str) -> str:
            return f"Hello, {name}!"
        """,
    "tests/test_greeter.py": """
        from greeter import greet

        def test_greets_by_name():
            assert greet("Ada").startswith("Hello, Ada")

        def test_ends_with_emphasis():
            assert greet("Ada").endswith("!")
        """,
}
TYPESCRIPT = {
    ".gitignore": "dist/\nnode_modules/\n",
    "package.json": """
        {
          "name": "greeter",
          "version": "1.2.3",
          "type": "module",
          "scripts": {"build": "tsc -p .", "test": "vitest run"},
          "devDependencies": {"typescript": "^5.9.0", "vitest": "^3.2.0"}
        }
        """,
    "tsconfig.json": """
        {
          "compilerOptions": {
            "target": "es2022", "module": "nodenext", "strict": true, "outDir": "dist", "rootDir": "src", "types": []
          },
          "include": ["src"]
        }
        """,
    "src/greeter.ts": "export const greet = (name: string): string => `Hello, ${name}!`;\n",
    "test/greeter.test.ts": """
        import { expect, test } from "vitest";
        import { greet } from "../src/greeter";

        test("greets by name", () => expect(greet("Ada")).toMatch(/^Hello, Ada/));
        """,
}
MAKE = {
    ".gitignore": "out/\n",
    "Makefile": """
        .PHONY: build test
        build: out/greeting.txt
        out/greeting.txt: greeting.txt
        \tmkdir -p out && tr a-z A-Z < greeting.txt > out/greeting.txt
        test: build
        \tgrep HELLO out/greeting.txt
        """,
    "greeting.txt": "hello, Ada\n",
}


@dataclass(frozen=True)
class Foreign:
    """A kind of repository.

    Args:
        change: the file the second revision changes, and its new text.
        artifacts: how the names of files a step must leave behind end, by step.
    """

    files: Mapping[str, str]
    change: tuple[str, str]
    artifacts: Mapping[str, tuple[str, ...]]


KINDS = {
    "python": Foreign(
        PYTHON,
        ("src/greeter/__init__.py", 'def greet(name: str) -> str:\n    return f"Hello, {name}, again!"\n'),
        {},
    ),
    "typescript": Foreign(
        TYPESCRIPT,
        ("src/greeter.ts", "export const greet = (name: string): string => `Hello, ${name}, again!`;\n"),
        {},
    ),
    "make": Foreign(MAKE, ("greeting.txt", "hello, again\n"), {}),
}


@pytest.fixture(scope="session")
def npm_lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The lock file npm makes for the TypeScript project."""
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text(TYPESCRIPT["package.json"])
    command = ["npm", "install", "--package-lock-only", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "package-lock.json").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_x(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    foreign = KINDS[kind]
    product = Product.new(tmp_path / f"{kind}-greeter", foreign.files)
    if kind == "typescript":
        product.write({"package-lock.json": request.getfixturevalue("npm_lock")})
        product.commit()
    for words in (("init",), ("plan",), ("run",)):
        ended = product.maestro(*words)
        print(ended.code, ended.text)
    print((product.root / "maestro.yaml").read_text(), product.git("status", "--short"))
    with product.instance() as instance:
      for run in instance.get_runs():
        print({name: ([o.name for o in r.outputs], r.metadata, r.values) for name, r in product.records(run.run_id).items()})
    raise AssertionError
