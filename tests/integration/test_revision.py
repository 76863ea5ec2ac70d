"""The revision of an uncommitted tree holds exactly what git would commit, without what the workflow makes itself."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.project import checkout, current_revision, revision_of
from tests.integration.delivery import Delivery


@pytest.fixture
def shop(tmp_path: Path) -> Delivery:
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root)
    made.git("init", "-q", "-b", "main")
    return made


def test_a_product_in_an_ignored_folder_does_not_keep_the_revision_from_being_made(shop: Delivery) -> None:
    shop.write({".gitignore": "dist/\n", "note.txt": "one\n"})
    shop.write({"dist/out.txt": "made\n", "other/out.txt": "made\n", "note.txt": "two\n"}, commit=False)
    revision = current_revision(shop.project, products=["dist/out.txt", "other/out.txt"])
    assert revision.dirty
    assert sorted(revision.files) == [".gitignore", "note.txt"]


@pytest.mark.parametrize("file", [".maestro/ledger.db", ".maestro/keys/trust.yaml", ".maestro"])
def test_a_commit_that_brings_state_of_its_own_is_refused(shop: Delivery, file: str) -> None:
    shop.write({"note.txt": "one\n"})
    before = current_revision(shop.project)
    shutil.rmtree(shop.root / ".maestro", ignore_errors=True)
    if file == ".maestro":
        (shop.root / file).symlink_to("elsewhere")
    else:
        shop.write({file: "theirs"}, commit=False)
    shop.git("add", "--force", file)
    shop.git("commit", "-q", "-m", "brings a budget")
    with pytest.raises(InputError, match=re.escape(f"'{file}' is in git, and Maestro's own state is no part")):
        current_revision(shop.project)
    with pytest.raises(InputError, match="is in git"):
        shop.project.refuse_committed_state()
    shop.git("checkout", "-q", before.id)
    shop.project.refuse_committed_state()
    assert current_revision(shop.project).id == before.id


def test_every_kind_of_change_is_part_of_the_revision(shop: Delivery) -> None:
    shop.write({"file": "1\n", "folder/a": "1\n", "gone": "1\n", "script": "1\n", "link": "1\n", "sp ace\\ü": "1\n"})
    (shop.root / "file").unlink()
    shop.write({"file/b": "1\n"}, commit=False)
    (shop.root / "folder" / "a").unlink()
    (shop.root / "folder").rmdir()
    shop.write({"folder": "1\n", "new\nline": "1\n", "sp ace\\ü": "2\n"}, commit=False)
    (shop.root / "gone").unlink()
    (shop.root / "script").chmod(0o755)
    (shop.root / "link").unlink()
    (shop.root / "link").symlink_to("script")
    revision = current_revision(shop.project, products=["dist/**"])
    assert {name: entry.mode for name, entry in revision.files.items()} == {
        "file/b": "100644",
        "folder": "100644",
        "link": "120000",
        "new\nline": "100644",
        "script": "100755",
        "sp ace\\ü": "100644",
    }
    assert shop.git("diff", "--cached", "--name-only") == "", "the person's own index is left alone"
    with checkout(shop.project, revision_of(shop.project, revision.id)) as folder:
        assert (folder / "sp ace\\ü").read_text() == "2\n"
        assert (folder / "link").readlink() == Path("script")


def test_a_resolved_conflict_is_part_of_the_revision_as_the_file_stands(shop: Delivery) -> None:
    shop.write({"note.txt": "base\n"})
    shop.git("checkout", "-q", "-b", "other")
    shop.write({"note.txt": "theirs\n"})
    shop.git("checkout", "-q", "main")
    shop.write({"note.txt": "ours\n"})
    shop.git("merge", "-q", "--no-commit", "--strategy-option=ours", "other")
    shop.write({"note.txt": "both\n"}, commit=False)
    revision = current_revision(shop.project)
    with checkout(shop.project, revision) as folder:
        assert (folder / "note.txt").read_text() == "both\n"


def test_a_repository_inside_is_its_commit_and_nothing_before_it_has_one(shop: Delivery) -> None:
    shop.write({"note.txt": "one\n"})
    inner = Delivery(shop.root / "inner")
    inner.root.mkdir()
    inner.git("init", "-q", "-b", "main")
    inner.write({"file": "1\n"}, commit=False)
    assert sorted(current_revision(shop.project).files) == ["note.txt"]
    inner.write({})
    entry = current_revision(shop.project).files["inner"]
    assert (entry.mode, entry.blob) == ("160000", inner.git("rev-parse", "HEAD"))
