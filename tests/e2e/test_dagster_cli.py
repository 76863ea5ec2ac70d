"""Dagster's own command line on a project: it makes one step of any revision, in a checkout of that revision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maestro.artifacts import StepRecord
from maestro_defs.partitions import register_revision
from tests.e2e.product import WORKSPACE, Ended, Product

FILES = {
    ".gitignore": "dist/\n",
    "note.txt": "first\n",
    "maestro.yaml": """
        name: deliver
        project: shop
        stages:
          - name: source
            steps:
              - id: note
                run: shell
                cache: false
                with: {command: 'cat note.txt && git rev-parse HEAD && git status --porcelain && pwd'}
          - name: package
            steps:
              - id: bundle
                run: shell
                with: {command: 'mkdir -p dist && cp note.txt dist/bundle.txt'}
                outputs: {bundle: dist/bundle.txt}
        """,
}


@pytest.fixture
def shop(tmp_path: Path) -> Product:
    return Product.new(tmp_path / "shop", FILES)


def make_known(shop: Product, *revisions: str) -> None:
    """As the revisions sensor does for every new commit."""
    with shop.instance() as instance:
        for revision in revisions:
            register_revision(instance, "shop", revision)


def materialize(shop: Product, step: str, revision: str) -> Ended:
    asked = ("--select", f"shop/{step}", "--partition", revision)
    return shop.dagster("asset", "materialize", "-m", "maestro_defs.definitions", *asked)


def only_record(shop: Product) -> StepRecord:
    """What the one run of the project recorded of its one step."""
    with shop.instance() as instance:
        (run,) = instance.get_runs()
    (record,) = shop.records(run.run_id).values()
    return record


def test_dagster_accepts_the_definitions_through_the_workspace_file(shop: Product) -> None:
    ended = shop.dagster("definitions", "validate", "-w", str(WORKSPACE))
    assert ended.code == 0, ended.text
    assert "All code locations passed validation" in ended.text


def test_dagster_says_where_a_workflow_is_wrong(shop: Product) -> None:
    text = (shop.root / "maestro.yaml").read_text().replace("run: shell", "run: shel", 1)
    shop.write({"maestro.yaml": text})
    ended = shop.dagster("definitions", "validate", "-w", str(WORKSPACE))
    assert ended.code == 1
    line = 1 + text[: text.index("run: shel")].count("\n")
    assert f"{shop.root}/maestro.yaml:{line}:14: unknown step kind 'shel'; known kinds: " in ended.text


def test_one_step_of_an_older_commit_is_made_from_the_files_of_that_commit(shop: Product) -> None:
    older = shop.git("rev-parse", "HEAD")
    shop.write({"note.txt": "second\n"})
    newer = shop.commit()
    shop.write({"note.txt": "uncommitted\n"})
    make_known(shop, older, newer)
    ended = materialize(shop, "source/note", older)
    assert ended.code == 0, ended.text
    record = only_record(shop)
    assert (record.step, record.revision, record.cache) == ("source/note", older, "off")
    note, head, folder = shop.log(record).splitlines()
    assert (note, head) == ("first", older)
    assert Path(folder).parent == shop.root / ".maestro" / "worktrees"
    assert not Path(folder).exists()
    assert shop.worktrees() == [str(shop.root)]
    assert shop.git("status", "--porcelain") == "M note.txt"
    assert (shop.root / "note.txt").read_text() == "uncommitted\n"


def test_one_step_of_an_uncommitted_tree_is_made_from_the_files_of_that_tree(shop: Product) -> None:
    head = shop.git("rev-parse", "HEAD")
    shop.write({"note.txt": "uncommitted\n", "new.txt": "new\n"})
    run = shop.deliver("package/bundle", "--only")
    revision = run["revision"]
    assert revision.startswith("worktree-")
    shop.git("checkout", "--quiet", "--", "note.txt")
    (shop.root / "new.txt").unlink()
    ended = materialize(shop, "source/note", revision)
    assert ended.code == 0, ended.text
    with shop.instance() as instance:
        newest = instance.get_runs(limit=1)[0]
    lines = shop.log(shop.records(newest.run_id)["source/note"]).splitlines()
    assert lines[:4] == ["uncommitted", head, " M note.txt", "?? new.txt"]
    assert shop.worktrees() == [str(shop.root)]


def test_a_revision_that_is_not_there_is_refused_by_name(shop: Product) -> None:
    make_known(shop, shop.git("rev-parse", "HEAD"))
    ended = materialize(shop, "source/note", "nonsense")
    assert ended.code == 1
    assert "partition key `nonsense`" in ended.text


def test_a_revision_the_repository_has_lost_fails_the_run_and_says_what_to_do(shop: Product) -> None:
    gone = "1234567890" * 4
    make_known(shop, gone)
    ended = materialize(shop, "source/note", gone)
    assert ended.code == 1
    assert f"there is no revision '{gone}' in {shop.root}" in ended.text
    assert "fetch it (git fetch)" in ended.text


def test_the_whole_workflow_runs_as_a_dagster_job_for_the_revision_its_tag_names(shop: Product) -> None:
    revision = shop.git("rev-parse", "HEAD")
    make_known(shop, revision)
    tags = json.dumps({"dagster/partition": revision})
    ended = shop.dagster("job", "execute", "-m", "maestro_defs.definitions", "-j", "deliver", "--tags", tags)
    assert ended.code == 0, ended.text
    with shop.instance() as instance:
        (run,) = instance.get_runs()
    records = shop.records(run.run_id)
    assert set(records) == {"source/note", "package/bundle"}
    assert all(record.revision == revision and record.passed for record in records.values())
    assert shop.worktrees() == [str(shop.root)]
    assert not (shop.root / "dist").exists()


def test_a_dagster_job_without_a_revision_fails_and_says_what_to_do(shop: Product) -> None:
    ended = shop.dagster("job", "execute", "-m", "maestro_defs.definitions", "-j", "deliver")
    assert ended.code == 1
    assert "names no revision, or several" in ended.text
    assert "materialize one revision (partition) a run" in ended.text
