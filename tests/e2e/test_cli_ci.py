"""``maestro init --ci``, and the scripts of the files it writes, run as the services' runners run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.product import Ended, Product

WORKFLOW = """
    name: shop
    project: shop
    stages:
      - name: build
        steps:
          - {id: compile, run: shell, with: {command: 'mkdir -p dist && echo compiled > dist/app.txt'}, outputs: [dist/app.txt]}
          - {id: app, run: artifact.put, with: {path: dist/app.txt, deliver: true}}
          - {id: prove, run: attest.provenance}
"""
FAILING = "name: shop\nstages: [{name: build, steps: [{id: compile, run: shell, with: {command: 'false'}}]}]\n"
WITHOUT_EVIDENCE = FAILING.replace("'false'", "'true'")
BIN = Path(sys.executable).parent


def shop(folder: Path, workflow: str = WORKFLOW) -> Product:
    return Product.new(folder, {"maestro.yaml": workflow, ".gitignore": "dist/\n"})


def bash(product: Product, script: str, environment: Mapping[str, str]) -> Ended:
    """As runners do: a script that ends at its first error."""
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=product.root,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class GitHubRunner:
    """The steps behind the installation, in order; a step runs when its condition would let it."""

    def __init__(self, product: Product, temporary: Path) -> None:
        self.product = product
        self.temporary = temporary
        self.summary = temporary / "summary.md"
        temporary.mkdir()
        text = (product.root / ".github/workflows/maestro.yaml").read_text("utf-8")
        self.steps: list[dict[str, Any]] = yaml.safe_load(text)["jobs"]["maestro"]["steps"]

    def run(self, name: str) -> Ended:
        script = next(step["run"] for step in self.steps if step["name"] == name)
        sha = self.product.git("rev-parse", "HEAD").strip()
        variables = {"RUNNER_TEMP": str(self.temporary), "GITHUB_STEP_SUMMARY": str(self.summary), "GITHUB_SHA": sha}
        return bash(self.product, script, variables)


def github(folder: Path, workflow: str = WORKFLOW) -> GitHubRunner:
    product = shop(folder / "shop", workflow)
    ended = product.maestro("init", "--ci", "github")
    assert ended.code == 0, ended.text
    assert "wrote .github/workflows/maestro.yaml" in ended.out
    product.git("add", "-A")
    product.git("commit", "-qm", "CI")
    return GitHubRunner(product, folder / "temporary")


def gitlab(folder: Path, workflow: str = WORKFLOW) -> tuple[Product, Ended]:
    product = shop(folder / "shop", workflow)
    ended = product.maestro("init", "--ci", "gitlab")
    assert ended.code == 0, ended.text
    assert "wrote .gitlab-ci.yml" in ended.out
    product.git("add", "-A")
    product.git("commit", "-qm", "CI")
    job = yaml.safe_load((product.root / ".gitlab-ci.yml").read_text("utf-8"))["maestro"]
    sha = product.git("rev-parse", "HEAD").strip()
    return product, bash(product, "\n".join(job["script"]), {"CI_COMMIT_SHA": sha})


def test_on_github_a_run_leaves_its_evidence_and_a_summary(tmp_path: Path) -> None:
    runner = github(tmp_path)
    for name in ("Run", "Export evidence", "Summary", "Clear the store of what is old"):
        ended = runner.run(name)
        assert ended.code == 0, (name, ended.text)
    (pack,) = (runner.temporary / "evidence").iterdir()
    assert pack.name.endswith(".tar.zst")
    summary = runner.summary.read_text("utf-8")
    assert summary.startswith("### Maestro\n\n    run ")
    assert "build/compile" in summary
    assert all(line.startswith("    ") or not line for line in summary.splitlines()[1:])
    assert runner.product.git("status", "--porcelain") == ""


def test_on_github_the_next_run_finds_the_store_of_the_last_one(tmp_path: Path) -> None:
    first = github(tmp_path)
    first.run("Run")
    folder = tmp_path / "next"
    folder.mkdir()
    first.product.git("clone", "-q", str(first.product.root), str(folder / "shop"))
    for name in ("cas", "cache"):
        target = folder / "shop/.maestro/artifacts" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (first.product.root / ".maestro/artifacts" / name).rename(target)
    second = GitHubRunner(Product(folder / "shop"), folder / "temporary")
    said = second.run("Run").out
    assert "build/compile" in said
    assert "1 cached" in said
    exported = second.run("Export evidence")
    assert exported.code == 0, exported.text
    assert list((second.temporary / "evidence").iterdir())


def test_on_github_a_failed_run_fails_its_step_and_has_a_summary(tmp_path: Path) -> None:
    runner = github(tmp_path, FAILING)
    assert runner.run("Run").code == 1
    assert runner.run("Summary").code == 0
    assert "failed" in runner.summary.read_text("utf-8")


def test_on_github_a_repository_without_evidence_is_no_failure(tmp_path: Path) -> None:
    runner = github(tmp_path, WITHOUT_EVIDENCE)
    assert runner.run("Run").code == 0
    assert runner.run("Export evidence").code == 0
    assert list((runner.temporary / "evidence").iterdir()) == []


@pytest.mark.parametrize(("workflow", "code", "packs"), [(WORKFLOW, 0, 1), (WITHOUT_EVIDENCE, 0, 0), (FAILING, 1, 0)])
def test_on_gitlab_the_jobs_status_is_the_runs_and_the_evidence_is_kept(
    tmp_path: Path, workflow: str, code: int, packs: int
) -> None:
    product, ended = gitlab(tmp_path, workflow)
    assert ended.code == code, ended.text
    assert len(list((product.root / ".maestro/packs").iterdir())) == packs
    assert product.git("status", "--porcelain") == ""


def test_a_ci_file_that_is_there_is_kept_unless_told(tmp_path: Path) -> None:
    product = shop(tmp_path / "shop")
    target = product.root / ".gitlab-ci.yml"
    target.write_text("mine: {script: [true]}\n", "utf-8")
    refused = product.maestro("init", "--ci", "gitlab")
    assert refused.code == 2
    assert "there is a CI file already" in refused.err
    assert "overwrite it with --force" in refused.err
    assert target.read_text("utf-8").startswith("mine:")
    workflow = (product.root / "maestro.yaml").read_text("utf-8")
    assert product.maestro("init", "--ci", "gitlab", "--force").code == 0
    assert target.read_text("utf-8") == product.maestro("init", "--ci", "gitlab", "--print").out
    assert (product.root / "maestro.yaml").read_text("utf-8") == workflow


def test_without_a_workflow_both_files_are_written(tmp_path: Path) -> None:
    product = Product.new(tmp_path / "made", {"Makefile": "build:\n\techo built\n"})
    ended = product.maestro("init", "--ci", "github")
    assert ended.code == 0, ended.text
    assert "wrote .github/workflows/maestro.yaml" in ended.out
    assert "wrote maestro.yaml" in ended.out


def test_an_unknown_service_is_refused(tmp_path: Path) -> None:
    refused = shop(tmp_path / "shop").maestro("init", "--ci", "jenkins")
    assert refused.code == 2
    assert "'jenkins' is not one of 'github', 'gitlab'" in refused.err


def test_the_branch_checked_out_is_the_default_branch_of_a_repository_without_remote(tmp_path: Path) -> None:
    product = shop(tmp_path / "shop")
    product.git("checkout", "-qb", "trunk")
    printed = product.maestro("init", "--ci", "github", "--print")
    assert yaml.load(printed.out, Loader=yaml.BaseLoader)["on"]["push"]["branches"] == ["trunk"]
