"""Repositories Maestro has never seen: ``maestro init``, ``plan`` and ``run``, and the lineage of two revisions."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterInstance

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
          "scripts": {"build": "tsc -p .", "test": "node --test test/"},
          "devDependencies": {"typescript": "5.9.3"}
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
    "test/greeter.test.js": """
        import assert from "node:assert";
        import test from "node:test";
        import { greet } from "../dist/greeter.js";

        test("greets by name", () => assert.match(greet("Ada"), /^Hello, Ada/));
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
        steps: what ``maestro init`` must make of it, in order.
        artifacts: how the names of the files end that steps leave behind.
        change: the file the second revision changes, and its new text.
        inputs: step kind, or command, in the file ``maestro init`` wrote -> the files it is then said to read.
        test_file: a file only the last step reads.
    """

    files: Mapping[str, str]
    steps: tuple[str, ...]
    artifacts: frozenset[str]
    change: tuple[str, str]
    inputs: Mapping[str, str]
    test_file: str


KINDS = {
    "python": Foreign(
        PYTHON,
        ("build/python-packages", "test/unit"),
        frozenset({".whl", ".tar.gz", "report"}),
        ("src/greeter/__init__.py", 'def greet(name: str) -> str:\n    return f"Hello, {name}, again!"\n'),
        {"build.python": "pyproject.toml, README.md, src/**", "test.unit": "src/**, tests/**, pyproject.toml"},
        "tests/test_greeter.py",
    ),
    "typescript": Foreign(
        TYPESCRIPT,
        ("prepare/node-modules", "build/typescript", "test/unit"),
        frozenset({"greeter.js"}),
        ("src/greeter.ts", "export const greet = (name: string): string => `Hello, ${name}, again!`;\n"),
        {"build.typescript": "package*.json, tsconfig.json, src/**", "test.unit": "package*.json, test/**"},
        "test/greeter.test.js",
    ),
    "make": Foreign(
        MAKE,
        ("build/make-build", "test/make-test"),
        frozenset(),
        ("greeting.txt", "hello, again\n"),
        {"make build}": "Makefile, greeting.txt", "make test}": "Makefile, greeting.txt, expected.txt"},
        "expected.txt",
    ),
}


@dataclass(frozen=True)
class Delivered:
    """A repository, and the runs of its first two revisions."""

    foreign: Foreign
    product: Product
    first: dict[str, Any]
    second: dict[str, Any]


@pytest.fixture(scope="module", params=KINDS)
def delivered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    foreign = KINDS[request.param]
    folder = tmp_path_factory.mktemp("foreign")
    environment = {"npm_config_cache": str(folder / "npm-cache"), "npm_config_update_notifier": "false"}
    product = Product.new(folder / f"{request.param}-greeter", foreign.files, environment)
    if (product.root / "package.json").exists():
        lock = ["npm", "install", "--package-lock-only", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"]
        subprocess.run(lock, cwd=product.root, env={**os.environ, **environment}, check=True, capture_output=True)
        product.commit()
    for command in ("init", "plan"):
        ended = product.installed(command)
        assert ended.code == 0, ended.text
    first = product.deliver_installed()
    product.write(dict([foreign.change]))
    product.commit()
    return Delivered(foreign, product, first, product.deliver())


def states(run: Mapping[str, Any]) -> dict[str, str]:
    return {step["step"]: step["state"] for step in run["steps"]}


def never_cached(steps: Iterable[str]) -> set[str]:
    """Steps that look at the checkout each time, whatever the cache has."""
    return {step for step in steps if step.startswith("prepare/")}


def test_init_plan_and_run_deliver_the_repository_as_it_is(delivered: Delivered) -> None:
    first = delivered.first
    assert first["revision"].startswith("worktree-"), "maestro.yaml was not committed yet"
    assert states(first) == dict.fromkeys(delivered.foreign.steps, "passed")
    records = delivered.product.records(first["run_id"])
    names = [f"{artifact.path} {artifact.name}" for record in records.values() for artifact in record.outputs]
    missing = [ending for ending in delivered.foreign.artifacts if not any(ending in name for name in names)]
    assert not missing, names


def test_a_run_leaves_nothing_in_the_repository_that_git_would_commit(delivered: Delivered) -> None:
    assert delivered.second["revision"] == delivered.product.git("rev-parse", "HEAD")
    assert delivered.product.git("status", "--porcelain") == ""
    assert delivered.product.worktrees() == [str(delivered.product.root)]


def test_both_revisions_of_every_step_are_assets_with_metadata_and_lineage(delivered: Delivered) -> None:
    product, plan = delivered.product, delivered.product.maestro("plan", "--json").json()
    revisions = [delivered.first["revision"], delivered.second["revision"]]
    assert [step["step"] for step in plan["steps"]] == list(delivered.foreign.steps)
    with product.instance() as instance:
        assert product.revisions(instance)[:2] == revisions
        for step in plan["steps"]:
            found = by_revision(instance, product, asset_key(product, step["step"]))
            assert set(revisions) <= set(found), step["step"]
            for revision in revisions:
                assert {"summary", "cache", "seconds"} <= set(found[revision].metadata)
                assert inputs_of(found[revision]) == {asset_key(product, name) for name in step["after"]}
                for name in step["after"]:
                    made = by_revision(instance, product, asset_key(product, name))[revision]
                    tag = f"dagster/input_data_version/{asset_key(product, name).to_user_string()}"
                    version = (made.tags or {})["dagster/data_version"]
                    # Of a partitioned input Dagster notes the digest of its partitions' versions.
                    assert (found[revision].tags or {})[tag] == hashlib.sha256(version.encode()).hexdigest()


def test_a_revision_that_was_delivered_comes_from_the_cache(delivered: Delivered) -> None:
    again = states(delivered.product.deliver())
    fresh = never_cached(delivered.foreign.steps)
    assert again == {step: "passed" if step in fresh else "cached" for step in delivered.foreign.steps}


def test_an_edit_runs_only_the_steps_that_read_the_file(delivered: Delivered) -> None:
    product, foreign = delivered.product, delivered.foreign
    head = product.git("rev-parse", "HEAD")
    workflow = (product.root / "maestro.yaml").read_text()
    for marker, files in foreign.inputs.items():
        line = next(line for line in workflow.splitlines() if line.rstrip().endswith(marker))
        workflow = workflow.replace(f"{line}\n", f"{line}\n        inputs: [{files}]\n")
    product.write({"maestro.yaml": workflow, "notes.txt": "nobody reads this\n"})
    product.commit()
    product.deliver()
    fresh = never_cached(foreign.steps)
    product.write({"notes.txt": "still nobody\n"})
    product.commit()
    assert {step for step, state in states(product.deliver()).items() if state == "passed"} == fresh
    file = product.root / foreign.test_file
    product.write({foreign.test_file: (file.read_text() if file.exists() else "") + "\n\n"})
    product.commit()
    last = foreign.steps[-1]
    assert {step for step, state in states(product.deliver()).items() if state == "passed"} == {*fresh, last}
    product.git("reset", "--quiet", "--hard", head)


def asset_key(product: Product, step: str) -> AssetKey:
    return AssetKey([product.project.default_name(), *step.split("/")])


def by_revision(instance: DagsterInstance, product: Product, key: AssetKey) -> dict[str, AssetMaterialization]:
    """The newest materialization of each revision."""
    found = (entry.asset_materialization for entry in product.materializations(instance, key))
    return {one.partition: one for one in found if one is not None and one.partition is not None}


def inputs_of(materialization: AssetMaterialization) -> set[AssetKey]:
    """The assets Dagster noted that it was made from."""
    prefix = "dagster/input_data_version/"
    names = [tag.removeprefix(prefix) for tag in materialization.tags or {} if tag.startswith(prefix)]
    return {AssetKey.from_user_string(name) for name in names}
