"""``maestro audit``, as a person uses it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from maestro.audit import AuditEvent
from tests import forked_maestro
from tests.integration.audit_logs import Intruder, Place, events


class Shop:
    """A project with an audit log of twelve entries."""

    def __init__(self, root: Path) -> None:
        self.root = root
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        self.place = Place(f"sqlite:///{root / '.maestro' / 'audit.db'}", root / ".maestro" / "keys" / "audit.pem")
        with self.place.open() as log:
            log.append_many(events(11))
            log.append(AuditEvent("waiver.added", "ann", "CVE-2026-1", {"reason": "a|b=c\n\x1b[31mred"}))

    def run(self, *words: str, code: int = 0, cwd: Path | None = None, **environ: str) -> str:
        done = forked_maestro.completed("audit", *words, cwd=cwd or self.root, env={**os.environ, **environ})
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code in (0, 1) and done.stdout else done.stderr


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    (tmp_path / "shop").mkdir()
    return Shop(tmp_path / "shop")


def test_show_lists_the_newest_entries_last(shop: Shop) -> None:
    lines = shop.run("show", "--limit", "3").splitlines()
    assert [line.split()[0] for line in lines] == ["INDEX", "9", "10", "11"]
    assert "waiver.added" in lines[-1]


def test_show_finds_by_kind_and_gives_json(shop: Shop) -> None:
    found = json.loads(shop.run("show", "--kind", "waiver.", "--json"))
    assert [entry["index"] for entry in found["entries"]] == [11]


def test_show_of_one_entry_cannot_colour_the_terminal(shop: Shop) -> None:
    assert "\x1b" not in shop.run("show", "11")
    assert "there is no entry 99" in shop.run("show", "99", code=2)


def test_verify_says_that_all_is_well(shop: Shop) -> None:
    assert "ok 12 entries of maestro.example/audit/shop are as they were written" in shop.run("verify")
    assert json.loads(shop.run("verify", "--json"))["ok"] is True


def test_verify_names_what_was_changed_and_fails(shop: Shop) -> None:
    intruder = Intruder(shop.place.url)
    intruder.run("UPDATE audit_entries SET actor = 'mallory' WHERE idx = 4", "DELETE FROM audit_entries WHERE idx = 7")
    intruder.close()
    said = shop.run("verify", code=1)
    assert "fail edited: row 4 was edited: it is not what was logged" in said
    assert "fail dropped: row 7 was dropped" in said


def test_verify_holds_the_log_against_a_checkpoint_from_elsewhere(shop: Shop, tmp_path: Path) -> None:
    shop.run("checkpoint", "--output", str(tmp_path / "kept.txt"))
    assert "ok 12 entries" in shop.run("verify", "--checkpoint", str(tmp_path / "kept.txt"))
    (tmp_path / "kept.txt").write_text((tmp_path / "kept.txt").read_text().replace("\n12\n", "\n13\n"))
    assert "published checkpoint 1: the signature of" in shop.run(
        "verify", "--checkpoint", str(tmp_path / "kept.txt"), code=1
    )


def test_a_proof_is_checked_where_there_is_no_log(shop: Shop, tmp_path: Path) -> None:
    (away := tmp_path / "away").mkdir()
    shop.run("prove", "4", "--output", str(away / "proof.json"))
    (away / "key").write_text(str(shop.place.key))
    said = shop.run("prove", "--verify", "proof.json", "--key", "key", cwd=away)
    assert said.startswith("ok entry 4 (policy.decision by user-1 at 20")
    assert "as it was signed at 12 entries" in said
    assert shop.run("prove", "--verify", "proof.json", "--key", str(shop.place.key), cwd=away) == said
    (away / "proof.json").write_text((away / "proof.json").read_text().replace("user-1", "user-2"))
    assert "entry 4 is not in the log" in shop.run("prove", "--verify", "proof.json", "--key", "key", code=1, cwd=away)


def test_consistency_with_an_earlier_checkpoint_is_proved(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text(shop.run("checkpoint"))
    with shop.place.open() as log:
        log.append_many(events(5))
    output = str(tmp_path / "consistency.json")
    said = shop.run("consistency", str(tmp_path / "old.txt"), "--output", output)
    assert said.endswith("of 17 entries begins with all of the log of 12 entries\n")
    assert shop.run("prove", "--verify", output, "--key", str(shop.place.key)) == said


def test_export_writes_a_line_for_each_entry(shop: Shop, tmp_path: Path) -> None:
    lines = shop.run("export").splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(12))
    shop.run("export", "--format", "cef", "--from", "10", "--output", str(tmp_path / "audit.cef"))
    written = (tmp_path / "audit.cef").read_text(encoding="utf-8").splitlines()
    assert [line.startswith("CEF:0|Maestro|") for line in written] == [True, True]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("prove",), 2, "give the index of an entry, or --verify FILE"),
        (("prove", "12"), 2, "there is no entry 12: the audit log has 12"),
        (("prove", "--verify", "missing.json"), 2, "--verify needs --key"),
        (("prove", "--verify", "missing.json", "--key", "x+1+y"), 2, "missing.json: cannot be read: No such file"),
        (("verify", "--key", "nonsense"), 2, "it is no public key of an audit log either"),
        (("verify", "--checkpoint", "missing.txt"), 2, "missing.txt: cannot be read"),
        (("verify", "--db", "sqlite:////nowhere/x.db"), 2, "there is no audit log in sqlite:////nowhere/x.db"),
        (("consistency", "missing.txt"), 2, "missing.txt: cannot be read"),
        (("export", "--to", "ftp://x"), 2, "cannot be forwarded to this address"),
        (("export", "--to", "https://x", "--token-env", "NO_SUCH"), 2, "the variable NO_SUCH holds no token"),
        (("export", "--follow"), 2, "go with --to"),
        (("export", "--to", "https://x", "--output", "y"), 2, "do not go with --to"),
        (("export", "--output", "missing/folder/x"), 2, "cannot be written"),
        (("checkpoint", "--key-file", "missing.pem"), 2, "but not its private key"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(shop: Shop, words: tuple[str, ...], code: int, message: str) -> None:
    said = shop.run(*words, code=code)
    assert message in said
    assert "next: " in said


def test_a_log_that_was_deleted_is_missed(shop: Shop) -> None:
    for file in (shop.root / ".maestro").glob("audit.db*"):
        file.unlink()
    for words in [("verify",), ("show",), ("checkpoint",)]:
        assert "audit.pem has signed is gone from sqlite:///" in shop.run(*words, code=1)


@pytest.mark.parametrize("words", [("show",), ("verify",), ("checkpoint",), ("export",), ("prove", "0")])
def test_a_project_without_a_log_is_told_so_and_gets_none(tmp_path: Path, shop: Shop, words: tuple[str, ...]) -> None:
    (empty := tmp_path / "empty").mkdir()
    subprocess.run(["git", "init", "-q", str(empty)], check=True)
    assert "there is no audit log in sqlite:///" in shop.run(*words, code=2, cwd=empty)
    assert not (empty / ".maestro").exists()
