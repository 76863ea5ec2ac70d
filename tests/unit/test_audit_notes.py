"""Signed notes, checkpoints and key files."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from maestro.audit.checkpoint import open_checkpoint, sign_checkpoint
from maestro.audit.errors import AuditInputError, NoteError
from maestro.audit.keyfile import load, load_or_create, public_file, read_public, write_public
from maestro.audit.note import SignerKey, VerifierKey, check_name, open_note

ORIGIN = "maestro.example/audit/shop"
# The example of Go's package golang.org/x/mod/sumdb/note: another implementation made it.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NEUMANN_NOTE = (
    f"{NEUMANN_TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@pytest.fixture(scope="module")
def signer() -> SignerKey:
    return SignerKey.generate(ORIGIN)


def test_a_note_another_implementation_signed_is_opened() -> None:
    assert open_note(NEUMANN_NOTE, [VerifierKey.parse(NEUMANN)]) == NEUMANN_TEXT


def test_a_private_key_keeps_its_text_form(signer: SignerKey) -> None:
    assert SignerKey.parse(signer.private_text()).verifier == signer.verifier
    assert VerifierKey.parse(str(signer.verifier)) == signer.verifier


def test_a_private_key_does_not_show_itself(signer: SignerKey) -> None:
    assert base64.b64encode(signer.seed).decode() not in repr(signer)
    assert repr(signer.seed) not in repr(signer)


def test_a_checkpoint_is_opened_with_the_key_that_signed_it(signer: SignerKey) -> None:
    checkpoint = sign_checkpoint(7, bytes(range(32)), signer)
    assert open_checkpoint(checkpoint.note, [signer.verifier]) == checkpoint
    assert checkpoint.note.startswith(f"{ORIGIN}\n7\n")


def test_the_same_log_gives_the_same_checkpoint(signer: SignerKey) -> None:
    assert sign_checkpoint(7, bytes(32), signer) == sign_checkpoint(7, bytes(32), signer)


def test_a_signature_of_another_key_is_passed_over_when_a_trusted_one_signed_too(signer: SignerKey) -> None:
    other = SignerKey.generate("witness.example/w")
    text = f"{ORIGIN}\n0\n{base64.b64encode(bytes(32)).decode()}\n"
    both = signer.sign(text) + other.sign(text).rpartition("\n\n")[2]
    assert open_note(both, [signer.verifier]) == text
    assert open_note(both, [other.verifier]) == text


def changed(note: str, old: str, new: str) -> str:
    assert old in note
    return note.replace(old, new, 1)


NOTE = sign_checkpoint(7, bytes(range(32)), SignerKey(ORIGIN, bytes(32)))
KEY = SignerKey(ORIGIN, bytes(32)).verifier
SIGNATURE = NOTE.note.split()[-1]


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (changed(NOTE.note, "\n7\n", "\n8\n"), "the signature of '.*' is wrong"),
        (changed(NOTE.note, "AAEC", "AAED"), "is wrong: the checkpoint was changed after it was signed"),
        (changed(NOTE.note, "\n7\n", "\n7\r\n"), "control characters"),
        (changed(NOTE.note, "\n\n", "\n"), "no signature stands behind an empty line"),
        (NOTE.note[:-1], "no signature stands behind an empty line"),
        (NOTE.note + "\n", "no signature stands behind|is not '— NAME BASE64'"),
        (changed(NOTE.note, "— ", "- "), "is not '— NAME BASE64'"),
        (changed(NOTE.note, f" {SIGNATURE}", f"  {SIGNATURE}"), "is not '— NAME BASE64'"),
        (changed(NOTE.note, SIGNATURE, "AAAA"), "a signature is too short"),
        (changed(NOTE.note, SIGNATURE, "!!!!"), "a signature is not base64"),
        (changed(NOTE.note, SIGNATURE, SIGNATURE.rstrip("=") + "\x41="), "not base64|too short|wrong|no trusted key"),
        (NOTE.note + "— x AAAAAAAA\n" * 100, "more than 100 signatures"),
        ("x" * 1_000_001, "larger than 1000000 bytes"),
        ("\ud800", "not UTF-8"),
        ("", "no signature"),
        (NEUMANN_NOTE, "no trusted key signed this checkpoint"),
        (SignerKey(ORIGIN, b"\x01" * 32).sign("x\n"), "no trusted key signed this checkpoint"),
    ],
)
def test_a_note_that_is_not_exactly_as_it_was_signed_is_refused(note: str, message: str) -> None:
    with pytest.raises(NoteError, match=message):
        open_note(note, [KEY])


def test_one_wrong_signature_of_a_trusted_key_spoils_a_note_that_another_signed_well() -> None:
    other = SignerKey.generate("witness.example/w")
    text = "a\n"
    wrong = other.sign("b\n").rpartition("\n\n")[2]
    signer = SignerKey(ORIGIN, bytes(32))
    with pytest.raises(NoteError, match=r"the signature of 'witness.example/w' is wrong"):
        open_note(signer.sign(text) + wrong, [signer.verifier, other.verifier])


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n07\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n-1\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n7\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n7\nAAAA\n",
        f"{ORIGIN}\n7\n",
        f"{ORIGIN}\n7\n{base64.b64encode(bytes(32)).decode()}\n\nmore\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError, match="not a checkpoint"):
        open_checkpoint(SignerKey(ORIGIN, bytes(32)).sign(text), [KEY])


def test_a_checkpoint_of_another_log_is_refused() -> None:
    note = SignerKey(ORIGIN, bytes(32)).sign(f"other\n7\n{base64.b64encode(bytes(32)).decode()}\n")
    with pytest.raises(NoteError, match=r"a checkpoint of the log 'other', not of 'maestro.example/audit/shop'"):
        open_checkpoint(note, [KEY])


def test_extension_lines_are_allowed() -> None:
    note = SignerKey(ORIGIN, bytes(32)).sign(f"{ORIGIN}\n7\n{base64.b64encode(bytes(32)).decode()}\nmore\n")
    assert open_checkpoint(note, [KEY]).size == 7


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "x" * 201])
def test_a_name_that_cannot_stand_in_a_note_is_refused(name: str) -> None:
    with pytest.raises(AuditInputError, match="cannot name an audit log"):
        check_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        NEUMANN.replace("c74f20a3", "c74f20a4"),
        NEUMANN.replace("PeterNeumann", "PaulNeumann"),
        NEUMANN[:-4],
        NEUMANN.replace("+AR", "+AB"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(AuditInputError, match="this is not the public key of an audit log"):
        VerifierKey.parse(text)


def test_the_first_use_writes_a_key_only_its_owner_may_read(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "audit.pem"
    previous = os.umask(0)
    try:
        made = load_or_create(file, ORIGIN)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_or_create(file, ORIGIN) == made
    assert [one.name for one in file.parent.iterdir()] == ["audit.pem"]


def test_the_public_key_is_read_from_its_file_or_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "audit.pem"
    key = load_or_create(file, ORIGIN).verifier
    write_public(file, key)
    assert read_public(str(public_file(file))) == read_public(str(key)) == key


def test_a_key_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "audit.pem"
    load_or_create(file, ORIGIN)
    file.chmod(0o640)
    with pytest.raises(AuditInputError, match=r"may be used by others \(mode 0640\)\n  next: chmod 600"):
        load(file, ORIGIN)


def test_a_key_of_another_log_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "audit.pem"
    load_or_create(file, ORIGIN)
    with pytest.raises(AuditInputError, match=r"the key of the log 'maestro.example/audit/shop', not of 'other'"):
        load(file, "other")


def test_a_file_that_is_no_key_is_refused_without_repeating_it(tmp_path: Path) -> None:
    file = tmp_path / "audit.pem"
    file.write_text("my password")
    file.chmod(0o600)
    with pytest.raises(AuditInputError, match="not the private key of an audit log") as raised:
        load(file, ORIGIN)
    assert "my password" not in str(raised.value)


def test_a_damaged_private_key_is_refused_without_repeating_it(tmp_path: Path) -> None:
    file = tmp_path / "audit.pem"
    key = load_or_create(file, ORIGIN)
    encoded = key.private_text().strip().split("+", 4)[4]  # Base64 may have a + too.
    file.write_text(f"PRIVATE+KEY+{ORIGIN}+00000000+{encoded}\n")
    with pytest.raises(AuditInputError, match="not the private key of an audit log") as raised:
        load(file, ORIGIN)
    assert encoded not in str(raised.value)


def test_the_private_key_is_not_taken_for_the_public_one(tmp_path: Path) -> None:
    file = tmp_path / "audit.pem"
    load_or_create(file, ORIGIN)
    with pytest.raises(AuditInputError, match="this is the private key"):
        read_public(str(file))


def test_a_public_key_file_that_is_not_there_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(AuditInputError, match="there is no such file, and it is no public key of an audit log either"):
        read_public(str(tmp_path / "audit.pem.pub"))
