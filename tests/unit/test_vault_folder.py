"""The vault in a folder: written once, read-only, verified on every read, and honest about what it is not."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.vault import (
    Vault,
    VaultConflictError,
    VaultCorruptError,
    VaultError,
    VaultMissingError,
    open_vault,
)

AT = datetime(2040, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(None, folder=tmp_path / "vault", environ={})


def files(tmp_path: Path, kind: str) -> list[Path]:
    return sorted((tmp_path / "vault" / kind).iterdir())


def test_what_is_put_comes_back_with_its_date_and_says_that_it_is_not_immutable(vault: Vault) -> None:
    kept = vault.put("shop/abc/sbom.json", b"{}", evidence_type="sbom", at=AT)
    assert vault.get("shop/abc/sbom.json") == b"{}"
    assert vault.status("shop/abc/sbom.json") == kept
    assert (kept.until, kept.mode, kept.immutable) == (AT + timedelta(days=1096), "none", False)
    assert kept.text(AT) == (
        "to be kept until 2043-01-01 00:00:00 UTC, NOT immutable: it lies in a folder, where whoever may write can"
        " change or delete it"
    )
    assert not vault.immutable


def test_a_probe_says_what_a_folder_lets_happen(vault: Vault) -> None:
    report = vault.probe()
    assert not report.passed
    assert "delete a locked file: accepted, not refused" in report.text()


def test_files_are_read_only(vault: Vault, tmp_path: Path) -> None:
    vault.put("x", b"x", evidence_type="sbom", at=AT)
    (file,) = files(tmp_path, "objects")
    assert file.stat().st_mode & 0o777 == 0o444


def test_the_same_again_changes_nothing(vault: Vault) -> None:
    first = vault.put("x", b"x", evidence_type="sbom", at=AT)
    assert vault.put("x", b"x", evidence_type="sbom", at=AT) == first


def test_the_same_again_for_longer_extends(vault: Vault) -> None:
    vault.put("x", b"x", evidence_type="sbom", retention=HOUR, at=AT)
    assert vault.put("x", b"x", evidence_type="sbom", retention=2 * HOUR, at=AT).until == AT + 2 * HOUR
    assert vault.put("x", b"x", evidence_type="sbom", retention=HOUR, at=AT).until == AT + 2 * HOUR


def test_something_else_under_the_same_key_is_refused(vault: Vault) -> None:
    vault.put("x", b"x", evidence_type="sbom", at=AT)
    with pytest.raises(VaultConflictError, match="'x' is already locked"):
        vault.put("x", b"y", evidence_type="sbom", at=AT)
    assert vault.get("x") == b"x"


def test_one_of_many_writers_wins(vault: Vault) -> None:
    together = threading.Barrier(8)

    def write(number: int) -> bytes | None:
        together.wait(timeout=60)
        try:
            vault.put("x", bytes([number]), evidence_type="sbom", at=AT)
        except VaultConflictError:
            return None
        return bytes([number])

    with ThreadPoolExecutor(8) as pool:
        winners = [data for data in pool.map(write, range(8)) if data is not None]
    assert winners == [vault.get("x")]


def test_changed_bytes_are_told_and_never_returned(vault: Vault, tmp_path: Path) -> None:
    vault.put("x", b"true", evidence_type="sbom", at=AT)
    (file,) = files(tmp_path, "objects")
    file.chmod(0o644)
    file.write_bytes(b"false")
    with pytest.raises(VaultCorruptError, match=r"'x' in the vault .* is corrupt"):
        vault.get("x")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"key": "y"}'])
def test_a_changed_lock_file_is_named(vault: Vault, tmp_path: Path, content: str) -> None:
    vault.put("x", b"x", evidence_type="sbom", at=AT)
    (file,) = files(tmp_path, "locks")
    file.write_text(content)
    with pytest.raises(VaultError, match=re.escape(str(file))):
        vault.status("x")


def test_the_lock_of_one_key_does_not_pass_for_that_of_another(vault: Vault, tmp_path: Path) -> None:
    for name in ("a", "b"):
        vault.put(name, name.encode(), evidence_type="sbom", at=AT)
    first, second = files(tmp_path, "locks")
    second.write_bytes(first.read_bytes())
    with pytest.raises(VaultError, match="cannot be understood"):
        vault.status("b")


def test_a_writer_that_died_between_bytes_and_lock_is_made_good_by_the_next(vault: Vault, tmp_path: Path) -> None:
    vault.put("x", b"x", evidence_type="sbom", at=AT)
    (file,) = files(tmp_path, "locks")
    file.unlink()
    with pytest.raises(VaultMissingError):
        vault.get("x")
    vault.put("x", b"x", evidence_type="sbom", at=AT)
    assert vault.get("x") == b"x"


def test_nothing_under_a_key_is_said_so(vault: Vault) -> None:
    for ask in (vault.get, vault.status, vault.holds):
        if ask == vault.holds:
            assert vault.holds("nonesuch") == ()
        else:
            with pytest.raises(VaultMissingError, match="nothing is locked under 'nonesuch'"):
                ask("nonesuch")


def test_a_version_that_never_was_is_missing(vault: Vault) -> None:
    version = vault.put("x", b"x", evidence_type="sbom", at=AT).version_id
    assert vault.get("x", version) == b"x"
    with pytest.raises(VaultMissingError, match="x, version other"):
        vault.get("x", "other")


def test_a_date_moves_later_and_never_earlier(vault: Vault) -> None:
    kept = vault.put("x", b"x", evidence_type="sbom", retention=HOUR, at=AT)
    assert vault.extend("x", kept.until + HOUR).until == kept.until + HOUR
    with pytest.raises(InputError, match="a lock never becomes shorter"):
        vault.extend("x", kept.until)


def test_holds_keep_their_reasons(vault: Vault) -> None:
    vault.put("x", b"x", evidence_type="sbom", at=AT)
    assert vault.hold("x", True, reason="case 17", at=AT).legal_hold
    assert "under legal hold" in vault.status("x").text()
    assert not vault.hold("x", False, reason=" closed ", at=AT + HOUR).legal_hold
    assert [(one.on, one.reason, one.at) for one in vault.holds("x")] == [
        (True, "case 17", AT),
        (False, "closed", AT + HOUR),
    ]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 2001])
def test_a_hold_without_a_reason_is_refused_and_changes_nothing(vault: Vault, reason: str) -> None:
    vault.put("x", b"x", evidence_type="sbom", at=AT)
    with pytest.raises(InputError, match="a legal hold needs a reason"):
        vault.hold("x", True, reason=reason)
    assert not vault.status("x").legal_hold
    assert vault.holds("x") == ()


def test_keys_may_be_beginnings_of_each_other_long_and_in_any_script(vault: Vault) -> None:
    names = ["a", "a/b", "a/b/c", "a.json", "ü/€ und %", "l" * 500, "l" * 500 + "/m"]
    for name in names:
        vault.put(name, name.encode(), evidence_type="sbom", at=AT)
    assert [one.key for one in vault.list()] == sorted(names)
    assert [one.key for one in vault.list("a/")] == ["a/b", "a/b/c"]
    assert [one.key for one in vault.list("l" * 400)] == ["l" * 500, "l" * 500 + "/m"]
    assert all(vault.get(name) == name.encode() for name in names)


def test_the_listing_leaves_out_the_vaults_own_notes(vault: Vault) -> None:
    vault.put("x", b"x", evidence_type="sbom", at=AT)
    vault.hold("x", True, reason="case 17")
    assert [one.key for one in vault.list()] == ["x"]


@pytest.mark.parametrize(
    "key", ["", "/", "/x", "x/", "a//b", ".", "..", "../x", "a/../b", "a\\b", "a\nb", "a\0b", "\ud800", "x" * 801]
)
def test_a_key_that_is_no_relative_path_is_refused(vault: Vault, tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match="is no key of the vault"):
        vault.put(key, b"x", evidence_type="sbom", at=AT)
    with pytest.raises(InputError, match="is no key of the vault"):
        vault.get(key)
    assert not (tmp_path / "vault").exists()


def test_the_vaults_own_keys_are_refused(vault: Vault) -> None:
    with pytest.raises(InputError, match=r"keys below \.maestro/ are the vault's own"):
        vault.put(".maestro/holds/x", b"x", evidence_type="hold", at=AT)


@pytest.mark.parametrize("evidence_type", ["", "SBOM", "a b", "a/b", "x" * 65])
def test_a_type_that_is_no_word_is_refused(vault: Vault, evidence_type: str) -> None:
    with pytest.raises(InputError, match="is no evidence type"):
        vault.put("x", b"x", evidence_type=evidence_type, at=AT)


def test_a_time_without_a_zone_is_refused(vault: Vault) -> None:
    with pytest.raises(InputError, match="at has no time zone"):
        vault.put("x", b"x", evidence_type="sbom", at=datetime(2040, 1, 1))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "vault").write_text("a file")
    vault = open_vault(None, folder=tmp_path / "vault", environ={})
    with pytest.raises(VaultError, match="cannot be written") as raised:
        vault.put("x", b"x", evidence_type="sbom", at=AT)
    assert raised.value.next_step is not None


def test_what_is_kept_can_be_written_as_json(vault: Vault) -> None:
    document = vault.put("x", b"x", evidence_type="sbom", retention=HOUR, at=AT).to_json()
    assert json.loads(json.dumps(document))["until"] == "2040-01-01T01:00:00Z"
    assert document["text"].startswith("to be kept until 2040-01-01 01:00:00 UTC, NOT immutable")


def test_the_address_may_name_another_folder(tmp_path: Path) -> None:
    for url in (str(tmp_path / "a"), (tmp_path / "b c").as_uri()):
        vault = open_vault(url, folder=tmp_path / "unused", environ={})
        vault.put("x", b"x", evidence_type="sbom", at=AT)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b c"}
