"""A ledger that was deleted, emptied or replaced is missed: nobody begins anew without limits, and nobody is silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maestro.errors import MaestroError
from maestro.ledger.errors import LedgerLostError
from maestro.ledger.model import Attribution, Unit
from maestro.ledger.place import FILE, WITNESS, is_there, ledger_url
from maestro.ledger.store import Ledger
from maestro.ledger.witness import witness_of

WHO = Attribution("acme", "app")


def opened(home: Path) -> Ledger:
    return Ledger.open(ledger_url(home, {}))


def delete(home: Path) -> None:
    for file in home.glob(f"{FILE}*"):
        file.unlink()


def empty(home: Path) -> None:
    (home / FILE).write_bytes(b"")


def replace(home: Path) -> None:
    other = home / "other"
    opened(other).close()
    delete(home)
    (other / FILE).rename(home / FILE)


LOSSES = {"is gone": delete, "was emptied": empty, "is another database": replace}


@pytest.mark.parametrize(("words", "lose"), LOSSES.items(), ids=list(LOSSES))
def test_a_lost_ledger_is_not_begun_anew(tmp_path: Path, words: str, lose: Callable[[Path], None]) -> None:
    opened(tmp_path).close()
    lose(tmp_path)
    for _ in range(2):
        with pytest.raises(LedgerLostError, match=words) as told:
            opened(tmp_path)
    assert str(tmp_path / FILE) in str(told.value)
    assert "restore it from a backup" in str(told.value)
    assert is_there(tmp_path, {}), "quotas are still asked for"


def test_one_begins_with_an_empty_ledger_by_removing_the_witness(tmp_path: Path) -> None:
    opened(tmp_path).close()
    delete(tmp_path)
    (tmp_path / WITNESS).unlink()
    with opened(tmp_path) as ledger:
        assert ledger.scopes() == []


@pytest.mark.parametrize("lose", [delete, empty, replace], ids=["deleted", "emptied", "replaced"])
def test_nothing_is_settled_or_reserved_in_a_ledger_that_was_lost_meanwhile(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve("call", WHO, {Unit.TOKENS: 10}, sent=True)
        lose(tmp_path)
        with pytest.raises(LedgerLostError):
            ledger.settle("call", {Unit.TOKENS: 5})
        with pytest.raises(MaestroError, match="restore it from a backup"):
            ledger.reserve("another", WHO, {Unit.TOKENS: 10})


def test_a_ledger_from_before_there_were_witnesses_gets_one(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.spend(WHO, {Unit.RUNS: 1})
    witness_of(tmp_path / FILE).unlink()
    with opened(tmp_path) as ledger:
        assert ledger.scopes()
    assert (tmp_path / WITNESS).is_file()


def test_a_ledger_put_back_from_a_backup_is_the_one_that_was_known(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.spend(WHO, {Unit.RUNS: 1})
    kept = (tmp_path / FILE).read_bytes()
    delete(tmp_path)
    (tmp_path / FILE).write_bytes(kept)
    with opened(tmp_path) as ledger:
        assert ledger.scopes()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kind", ["a folder", "damaged"])
def test_a_file_that_is_no_ledger_is_named(tmp_path: Path, kind: str, known: bool) -> None:
    if known:
        opened(tmp_path).close()
        delete(tmp_path)
    if kind == "a folder":
        (tmp_path / FILE).mkdir()
        (tmp_path / FILE / "something").touch()
    else:
        (tmp_path / FILE).write_bytes(b"this is no database" * 1000)
    with pytest.raises(MaestroError) as told:
        opened(tmp_path)
    said = str(told.value)
    assert str(tmp_path / FILE) in said
    assert "restore the ledger from a backup" in said
    assert ("it is a folder" if kind == "a folder" else "not a database") in said
    assert "server.yaml" not in said


def test_a_damaged_ledger_in_use_says_what_to_do_with_it(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.spend(WHO, {Unit.RUNS: 1})
    with opened(tmp_path) as ledger:
        (tmp_path / FILE).write_bytes(b"this is no database" * 1000)
        with pytest.raises(MaestroError, match="restore it from a backup"):
            ledger.spend(WHO, {Unit.RUNS: 1})
