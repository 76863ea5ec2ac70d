"""What the conductor keeps of projects' models.yaml, and what the endpoint finds of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.errors import MaestroError
from maestro.llm.project_files import ProjectFile, ProjectFiles
from maestro.notation.yaml_reader import MAX_BYTES
from maestro.server.database import open_engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'server.db'}")
    yield made
    made.dispose()


@pytest.fixture
def files(engine: sa.Engine) -> ProjectFiles:
    return ProjectFiles(engine)


def found(files: ProjectFiles, name: str = "shop") -> ProjectFile:
    file = files.get(name)
    assert file is not None
    return file


def test_nothing_is_known_of_a_project_nobody_asked_for(files: ProjectFiles) -> None:
    assert files.get("shop") is None
    assert files.wanted() == []


def test_what_is_asked_for_is_wanted_and_not_known_yet(files: ProjectFiles) -> None:
    files.ask("shop")
    (wanted,) = files.wanted()
    assert (wanted.project, wanted.revision, wanted.age, wanted.tried) == ("shop", "", None, None)
    assert wanted.asked < 60


def test_a_file_is_found_as_it_was_kept_with_the_commit_it_is_of(files: ProjectFiles) -> None:
    files.keep("shop", "a" * 40, b"restrict: {}")
    kept = found(files)
    assert (kept.revision, kept.content, kept.problem, kept.trouble) == ("a" * 40, b"restrict: {}", "", "")
    assert kept.age is not None and 0 <= kept.age < 60


def test_no_file_is_something_else_than_an_empty_one(files: ProjectFiles) -> None:
    files.keep("one", "a" * 40, None)
    files.keep("two", "a" * 40, b"")
    assert (found(files, "one").content, found(files, "two").content) == (None, b"")


def test_another_revision_takes_the_place_of_all_that_was_known(files: ProjectFiles) -> None:
    files.keep("shop", "a" * 40, None, "it is a folder")
    files.fail("shop", "the origin is away")
    files.keep("shop", "b" * 40, b"restrict: {}")
    kept = found(files)
    assert (kept.revision, kept.content, kept.problem, kept.trouble) == ("b" * 40, b"restrict: {}", "", "")


def test_what_could_not_be_looked_at_gets_older_and_says_why(files: ProjectFiles, engine: sa.Engine) -> None:
    files.keep("shop", "a" * 40, b"")
    _earlier(engine, 5000)
    files.fail("shop", "the origin is away")
    kept = found(files)
    assert kept.age is not None and kept.age >= 5000
    assert kept.tried is not None and kept.tried < 60
    assert kept.trouble == "the origin is away"


def test_the_same_commit_again_makes_it_fresh(files: ProjectFiles, engine: sa.Engine) -> None:
    files.keep("shop", "a" * 40, b"")
    files.fail("shop", "the origin is away")
    _earlier(engine, 5000)
    files.confirm("shop", "a" * 40)
    kept = found(files)
    assert kept.age is not None and kept.age < 60
    assert kept.trouble == ""


def test_a_commit_that_is_not_the_newest_known_confirms_nothing(files: ProjectFiles, engine: sa.Engine) -> None:
    files.keep("shop", "b" * 40, b"")
    _earlier(engine, 5000)
    files.confirm("shop", "a" * 40)
    age = found(files).age
    assert age is not None and age >= 5000


def test_who_looks_does_not_count_as_asking(files: ProjectFiles, engine: sa.Engine) -> None:
    files.ask("shop")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE maestro_llm_project_files SET asked = asked - 8 * 86400"))
    files.keep("shop", "a" * 40, b"")
    files.confirm("shop", "a" * 40)
    assert files.wanted() == []
    files.ask("shop")
    assert [one.project for one in files.wanted()] == ["shop"]


def test_of_a_file_that_is_too_long_no_more_is_kept_than_shows_that(files: ProjectFiles) -> None:
    files.keep("shop", "a" * 40, b"#" * (2 * MAX_BYTES))
    assert len(found(files).content or b"") == MAX_BYTES + 1


def test_a_project_that_is_gone_is_forgotten(files: ProjectFiles) -> None:
    files.keep("shop", "a" * 40, b"")
    files.forget("shop")
    assert files.get("shop") is None


def test_a_database_that_is_not_what_it_was_is_told_in_words(files: ProjectFiles, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE maestro_llm_project_files"))
    with pytest.raises(MaestroError, match=r"models\.yaml of projects cannot be looked up: no such table"):
        files.get("shop")
    with pytest.raises(MaestroError, match="no such table"):
        files.ask("shop")


def _earlier(engine: sa.Engine, seconds: int) -> None:
    with engine.begin() as connection:
        change = "UPDATE maestro_llm_project_files SET confirmed = confirmed - :s, tried = tried - :s"
        connection.execute(sa.text(change), {"s": seconds})
