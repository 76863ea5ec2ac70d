"""The trust root: what a change of a key does, and which files are refused."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.signing import KeyUnusableError, PublicKey, TrustRoot
from maestro.signing.key_file import new_key
from maestro.signing.trust_file import MAX_BYTES, dump, parse
from tests.unit.signing_statements import NOW, trusted

SIGNER, _ = new_key()
OTHER, _ = new_key()
ROOT = TrustRoot((trusted(SIGNER), trusted(OTHER, name="second", valid_until=NOW + timedelta(days=1))))
TEXT = dump(ROOT).decode()


def refusal(text: str | bytes) -> str:
    with pytest.raises(KeyUnusableError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), file="trust.yaml")
    assert caught.value.next_step
    assert str(caught.value).startswith("trust.yaml")
    return str(caught.value)


def test_a_trust_root_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    full = ROOT.retire("release", at=NOW).revoke("second", reason="it's lost: 'all' of it", at=NOW)
    full.save(tmp_path / "keys" / "trust.yaml")
    assert TrustRoot.load(tmp_path / "keys" / "trust.yaml") == full
    assert [one.name for one in (tmp_path / "keys").iterdir()] == ["trust.yaml"]


def test_the_file_is_for_people_to_read() -> None:
    assert TEXT.startswith("# Whose signatures this project trusts.")
    assert "- name: release\n" in TEXT
    assert "  public_key: |\n    -----BEGIN PUBLIC KEY-----\n" in TEXT


def test_saving_replaces_the_whole_file_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "trust.yaml"
    ROOT.save(path)
    before = path.stat().st_ino
    ROOT.retire("release", at=NOW).save(path)
    assert path.stat().st_ino != before
    (tmp_path / "occupied" / "trust.yaml").mkdir(parents=True)
    with pytest.raises(KeyUnusableError, match="the trust file cannot be written"):
        ROOT.save(tmp_path / "occupied" / "trust.yaml")
    assert list((tmp_path / "occupied").iterdir()) == [tmp_path / "occupied" / "trust.yaml"]


def test_a_key_is_active_until_something_ends_it() -> None:
    key = trusted(SIGNER, valid_from=NOW, valid_until=NOW + timedelta(days=2))
    day = timedelta(days=1)
    assert [key.state(NOW + n * day) for n in (-1, 0, 1, 2)] == ["not yet valid", "active", "active", "expired"]
    retired = TrustRoot((key,)).retire("release", at=NOW).find("release")
    assert [retired.state(NOW), retired.state(NOW + day)] == ["active", "retired"]
    revoked = TrustRoot((key,)).revoke("release", reason="lost", at=NOW).find("release")
    assert revoked.state(NOW - day) == "revoked"


def test_a_change_leaves_the_trust_root_it_was_made_from_as_it_was() -> None:
    ROOT.retire("release", at=NOW)
    assert ROOT.find("release").retired_at is None


def test_a_key_is_found_by_name_and_by_the_beginning_of_its_id() -> None:
    assert ROOT.find("second").keyid == OTHER.keyid
    assert ROOT.find(OTHER.keyid[:8]).name == "second"
    for wanted in ("third", OTHER.keyid[:7], ""):
        with pytest.raises(InputError, match=f"there is no trusted key '{wanted}'"):
            ROOT.find(wanted)


def test_a_key_cannot_be_retired_or_revoked_twice_or_without_a_reason() -> None:
    retired = ROOT.retire("release", at=NOW)
    with pytest.raises(InputError, match="'release' is retired already"):
        retired.retire("release", at=NOW)
    revoked = retired.revoke("release", reason="lost", at=NOW)
    with pytest.raises(InputError, match="'release' is revoked already: lost"):
        revoked.revoke("release", reason="again", at=NOW)
    with pytest.raises(InputError, match="'release' is revoked already"):
        revoked.retire("release", at=NOW)
    for reason in ("", "  ", "two\nlines", "x" * 501):
        with pytest.raises(InputError, match="revoked for a reason"):
            ROOT.revoke("release", reason=reason, at=NOW)


def test_no_key_and_no_name_is_there_twice() -> None:
    with pytest.raises(InputError, match="this key is there already: it is 'release'"):
        ROOT.add(trusted(SIGNER, name="third"))
    with pytest.raises(InputError, match="another key is named 'release'"):
        ROOT.add(trusted(new_key()[0]))
    with pytest.raises(InputError, match="the name release twice"):
        TrustRoot((trusted(SIGNER), trusted(OTHER)))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("schema: 1", "schema: 2", "schema"),
        ("schema: 1", "schema: 1\nschema: 1", "trust.yaml:3:1: this is no trust file: 'schema' is there twice"),
        ("- name: release", "- name: release\n  name: other", "'name' is there twice"),
        ("- name: release", "- name: ../release", "keys.0.name"),
        ("- name: release", "- name: &a release\n  x: *a", "aliases are not allowed"),
        ("- name: release", "- name: [release", "it is not YAML"),
        ("- name: release", "- name: !!python/object:os.system release", "tags are not allowed"),
        ("- name: release", "- name: release\n  trusted: true", "keys.0.trusted"),
        ("- name: second", "- name: release", "the name release twice"),
        (SIGNER.keyid, OTHER.keyid, "the keyid does not belong to the public key"),
        (SIGNER.keyid, SIGNER.keyid.upper(), "keys.0.keyid"),
        ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "the scheme 'ecdsa-sha2-nistp384' cannot be used"),
        ("ecdsa-sha2-nistp256", "none", "the scheme 'none' cannot be used"),
        ("-----BEGIN PUBLIC KEY-----", "-----BEGIN PUBLIC CAKE-----", "this is no public key in PEM"),
        ("2026-05-02T12:00:00Z", "2026-03-02T12:00:00Z", "valid_until is not after valid_from"),
        ("2026-05-02T12:00:00Z", "2026-05-02T12:00:00", "keys.1.valid_until"),
        ("2026-05-02T12:00:00Z", "soon", "keys.1.valid_until"),
        ("development: false", "development: perhaps", "keys.0.development"),
        ("development: false", "development: false\n  revoked_at: '2026-05-02T12:00:00Z'", "go together"),
        ("development: false", "development: false\n  revoked_reason: lost", "go together"),
    ],
    # The keys are made anew in each process; a test's name must not be.
    ids=lambda _value: "",
)
def test_a_file_that_is_not_exactly_a_trust_root_is_refused(old: str, new: str, says: str) -> None:
    assert old in TEXT
    assert says in refusal(TEXT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "this is no trust file"),
        (b"- 1", "this is no trust file"),
        (b"\xff\xfe\x00", "it is not YAML"),
        (b"\x00", "it is not YAML"),
        (b"[" * 5000, "this is no trust file"),
        (b"a" * (MAX_BYTES + 1), "larger than"),
        (b"schema: 1\nkeys: [{}]\n", "keys.0.name"),
    ],
)
def test_something_else_is_refused_without_a_traceback(data: bytes, says: str) -> None:
    assert says in refusal(data)


def test_no_trust_file_means_nobody_can_be_trusted(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusableError, match="no trust file, so no signature can be trusted"):
        TrustRoot.load(tmp_path / "trust.yaml")
    with pytest.raises(KeyUnusableError, match="the trust file cannot be read: Is a directory"):
        TrustRoot.load(tmp_path)


def test_a_trust_file_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trust.yaml"
    ROOT.save(path)
    path.chmod(path.stat().st_mode | stat.S_IWOTH)
    with pytest.raises(KeyUnusableError, match="everybody on this machine may write the trust file"):
        TrustRoot.load(path)


def test_small_rsa_keys_and_odd_curves_are_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    small = rsa.generate_private_key(65537, 1024).public_key()
    odd = ec.generate_private_key(ec.SECP256K1()).public_key()
    for key in (small, odd):
        with pytest.raises(KeyUnusableError, match="a key of this kind cannot be used"):
            PublicKey.from_crypto(key)


def test_a_signature_of_the_wrong_form_is_no_signature() -> None:
    for signature in (b"", b"\x30", b"x" * 5000, b"\x30\x06\x02\x01\x00\x02\x01\x00"):
        assert not SIGNER.public_key.verify(signature, b"data")
    assert not PublicKey(SIGNER.keyid, "none", SIGNER.public_key.pem).verify(SIGNER.sign(b"data"), b"data")
