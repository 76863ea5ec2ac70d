"""Key files: made for their owner only, and refused when others could have read them."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from maestro.signing import KeyUnusableError, open_signer

SECRET = "correct horse battery"


def refusal(uri: str, environ: Mapping[str, str] | None = None, *, create: bool = False) -> str:
    with pytest.raises(KeyUnusableError) as caught:
        open_signer(uri, environ=environ or {}, create=create)
    assert caught.value.next_step
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "development.pem"
    open_signer(f"file:{path}", environ={}, create=True)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_on_first_use_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "home" / "keys" / "development.pem"
    before = os.umask(0)
    try:
        signer = open_signer(f"file:{path}", environ={}, create=True)
    finally:
        os.umask(before)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert [one.name for one in path.parent.iterdir()] == ["development.pem"]
    assert signer.development
    assert signer.public_key.scheme == "ecdsa-sha2-nistp256"


def test_the_key_that_is_there_is_used_again(key: Path) -> None:
    first = open_signer(f"file:{key}", environ={}, create=True)
    assert open_signer(f"file://{key}", environ={}).keyid == first.keyid


def test_processes_that_make_a_key_at_once_get_the_same_one(tmp_path: Path) -> None:
    uri = f"file:{tmp_path}/keys/k.pem"
    found: list[str] = []
    ready = threading.Barrier(8)

    def make() -> None:
        ready.wait()
        found.append(open_signer(uri, environ={}, create=True).keyid)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_no_key_is_made_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert "there is no such key" in refusal(f"file:{tmp_path}/k.pem")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o666, 0o610, 0o601])
def test_a_key_that_others_may_use_is_refused(key: Path, bits: int) -> None:
    key.chmod(bits)
    said = refusal(f"file:{key}", create=True)
    assert f"others may use the key: the mode of its file is {bits:04o}" in said
    assert f"chmod 600 {key}" in said


def test_a_key_in_a_folder_where_others_may_write_is_refused(key: Path) -> None:
    key.parent.chmod(0o770)
    assert "others may replace the keys in this folder" in refusal(f"file:{key}")
    key.unlink()
    assert "others may replace the keys in this folder" in refusal(f"file:{key}", create=True)
    assert not list(key.parent.iterdir())


def test_a_key_that_belongs_to_somebody_else_is_refused(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    if key.stat().st_uid == 0:
        os.chown(key, 65534, 65534)
    assert "the key belongs to somebody else" in refusal(f"file:{key}")


def test_a_pipe_or_a_folder_is_no_key(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "not in a regular file" in refusal(f"file:{tmp_path}/pipe")
    assert "not in a regular file" in refusal(f"file:{tmp_path}")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "this is no private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "this is no private key in PEM"),
        (b"x" * 70_000, "too large for a key"),
    ],
)
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "k.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    assert says in refusal(f"file:{path}")
    assert path.read_bytes() == content


def test_a_key_of_a_kind_that_is_not_used_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    path = tmp_path / "k.pem"
    made = ec.generate_private_key(ec.SECP521R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made)
    path.chmod(0o600)
    assert "a key of this kind cannot be used" in refusal(f"file:{path}")


def test_an_encrypted_key_is_opened_by_its_passphrase_only(tmp_path: Path) -> None:
    uri = f"file:{tmp_path}/keys/release.pem?passphrase-env=RELEASE_WORDS"
    first = open_signer(uri, environ={"RELEASE_WORDS": SECRET}, create=True)
    assert b"ENCRYPTED" in (tmp_path / "keys" / "release.pem").read_bytes()
    assert not first.development
    assert open_signer(uri, environ={"RELEASE_WORDS": SECRET}).keyid == first.keyid
    assert "the passphrase in RELEASE_WORDS does not open the key" in refusal(uri, {"RELEASE_WORDS": SECRET + "!"})
    assert "set the environment variable RELEASE_WORDS" in refusal(uri, {})
    assert "set the environment variable MAESTRO_SIGNING_PASSPHRASE" in refusal(uri.partition("?")[0])


def test_no_encrypted_key_is_made_without_its_passphrase(tmp_path: Path) -> None:
    assert "set the environment variable P" in refusal(f"file:{tmp_path}/k.pem?passphrase-env=P", create=True)
    assert not list(tmp_path.iterdir())


def test_a_passphrase_for_a_key_that_is_not_encrypted_is_refused(key: Path) -> None:
    assert "the key is not encrypted" in refusal(f"file:{key}?passphrase-env=P", {"P": SECRET})


@pytest.mark.parametrize(
    "uri", ["file:", "file:k.pem?passphrase=" + SECRET, "file:k.pem?passphrase-env=", "file://host/k.pem"]
)
def test_a_uri_that_names_no_key_file_is_refused(uri: str) -> None:
    assert "this names no key file" in refusal(uri)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("vault:secret", "there is no signer 'vault:'"),
        ("/etc/key.pem", "the signer is not a URI"),
        ("", "the signer is not a URI"),
        ("FILE:k.pem", "there is no signer 'FILE:'"),
    ],
)
def test_a_uri_of_another_kind_is_refused_with_the_kinds_there_are(uri: str, says: str) -> None:
    said = refusal(uri)
    assert says in said
    assert "file:, pkcs11:, awskms:, gcpkms:, azurekms:" in said


def test_nothing_secret_is_in_what_a_signer_prints(key: Path) -> None:
    signer = open_signer(f"file:{key}", environ={})
    assert "PRIVATE" not in repr(signer)
    assert "_private" not in repr(signer)
