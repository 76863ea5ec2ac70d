"""A project's keys: made on first use, rotated, retired, revoked, and every change told to the audit log."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.signing import KeyUnusableError, TrustRoot, VerificationError, open_signer, sign_statement, verify_bundle
from maestro.signing.key_file import new_key
from maestro.signing.project_keys import KeyChange, ProjectKeys, project_signer, trusted, trusted_pem
from tests.unit.signing_statements import NOW, statement


@pytest.fixture
def told() -> list[KeyChange]:
    return []


@pytest.fixture
def keys(tmp_path: Path, told: list[KeyChange]) -> ProjectKeys:
    return ProjectKeys(tmp_path / "keys", tmp_path / "keys" / "trust.yaml", told.append, lambda: NOW)


def later(keys: ProjectKeys, by: timedelta) -> ProjectKeys:
    return replace(keys, now=lambda: NOW + by)


def test_the_development_key_is_made_and_trusted_on_first_use(keys: ProjectKeys, told: list[KeyChange]) -> None:
    signer = keys.signer(None, environ={})
    bundle = sign_statement(statement(), signer)
    assert verify_bundle(bundle, keys.trust(), at=NOW).signer.development
    assert [(one.kind, one.keyid, one.data["name"]) for one in told] == [("key.added", signer.keyid, "development")]
    assert keys.signer(None, environ={}).keyid == signer.keyid
    assert len(told) == 1


def test_before_anything_was_signed_nobody_is_trusted_and_nothing_is_written(keys: ProjectKeys) -> None:
    assert keys.trust() == TrustRoot()
    assert not keys.folder.exists()


def test_first_uses_at_once_make_one_key(keys: ProjectKeys) -> None:
    found: list[str] = []
    ready = threading.Barrier(8)

    def use() -> None:
        ready.wait()
        found.append(keys.signer(None, environ={}).keyid)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 8
    assert {*found} == {one.keyid for one in keys.trust()}


def test_after_a_rotation_old_signatures_verify_and_the_new_key_signs(keys: ProjectKeys, told: list[KeyChange]) -> None:
    old = keys.signer(None, environ={})
    before = sign_statement(statement(), old)
    rotating = later(keys, timedelta(hours=1))
    new = rotating.rotate_development(environ={})
    signer = rotating.signer(None, environ={})
    assert (signer.keyid, new.name) == (new.keyid, "development-2")
    later_on = NOW + timedelta(hours=2)
    after = sign_statement(statement(later_on), signer)
    for bundle in (before, after):
        assert verify_bundle(bundle, keys.trust(), at=later_on)
    with pytest.raises(VerificationError) as caught:
        verify_bundle(sign_statement(statement(later_on), old), keys.trust(), at=later_on)
    assert caught.value.code == "retired_key"
    assert told[-1].kind == "key.rotated"
    assert told[-1].data["replaces"] == old.keyid


def test_a_rotation_makes_the_first_key_when_there_is_none(keys: ProjectKeys) -> None:
    made = keys.rotate_development(environ={})
    assert keys.signer(None, environ={}).keyid == made.keyid


def test_a_rotation_replaces_a_key_file_that_cannot_be_used(keys: ProjectKeys) -> None:
    keys.signer(None, environ={})
    keys.development_file.chmod(0o644)
    with pytest.raises(KeyUnusableError, match="others may use the key"):
        keys.signer(None, environ={})
    keys.rotate_development(environ={})
    assert keys.signer(None, environ={}).development


def test_a_revoked_development_key_does_not_sign_any_more(keys: ProjectKeys, told: list[KeyChange]) -> None:
    bundle = sign_statement(statement(), keys.signer(None, environ={}))
    keys.revoke("development", reason="it was in a backup")
    with pytest.raises(VerificationError, match="was revoked: it was in a backup"):
        verify_bundle(bundle, keys.trust(), at=NOW)
    with pytest.raises(KeyUnusableError, match="is revoked: what it signs would be refused") as caught:
        keys.signer(None, environ={})
    assert "maestro keys rotate" in str(caught.value)
    assert (told[-1].kind, told[-1].data["reason"]) == ("key.revoked", "it was in a backup")


def test_a_retired_development_key_does_not_sign_any_more(keys: ProjectKeys, told: list[KeyChange]) -> None:
    keys.signer(None, environ={})
    keys.retire("development")
    with pytest.raises(KeyUnusableError, match="is retired"):
        later(keys, timedelta(seconds=1)).signer(None, environ={})
    assert told[-1].kind == "key.retired"


def test_a_key_file_somebody_put_there_is_not_trusted_by_itself(keys: ProjectKeys) -> None:
    keys.signer(None, environ={})
    keys.development_file.unlink()
    open_signer(f"file:{keys.development_file}", environ={}, create=True)
    with pytest.raises(KeyUnusableError, match="is not trusted here"):
        keys.signer(None, environ={})


def test_a_configured_signer_must_be_trusted(keys: ProjectKeys, tmp_path: Path) -> None:
    uri = f"file:{tmp_path}/elsewhere/release.pem"
    signer = open_signer(uri, environ={}, create=True)
    with pytest.raises(KeyUnusableError, match="is not trusted here") as caught:
        project_signer(keys.folder, uri, keys.trust_file, environ={})
    assert "maestro keys import --signer URI" in str(caught.value)
    keys.add(trusted(signer.public_key, name="release", at=NOW))
    assert project_signer(keys.folder, uri, keys.trust_file, environ={}, now=lambda: NOW).keyid == signer.keyid


def test_a_development_key_is_never_added_to_a_shared_trust_file(keys: ProjectKeys, tmp_path: Path) -> None:
    shared = replace(keys, trust_file=tmp_path / "shared" / "trust.yaml")
    for use in (lambda: shared.signer(None, environ={}), lambda: shared.rotate_development(environ={})):
        with pytest.raises(KeyUnusableError, match="not added to a trust file that others share"):
            use()
    assert not shared.trust_file.exists()


def test_a_rotation_to_a_new_signer_retires_the_old_one(keys: ProjectKeys) -> None:
    old, new = new_key()[0], new_key()[0]
    keys.add(trusted(old.public_key, name="2026", at=NOW))
    keys.rotate("2026", trusted(new.public_key, name="2027", at=NOW))
    assert [(one.name, one.retired_at) for one in keys.trust()] == [("2026", NOW), ("2027", None)]


def test_another_trust_file_adds_keys_and_can_only_take_from_those_that_are_there(
    keys: ProjectKeys, told: list[KeyChange]
) -> None:
    mine, theirs = (trusted(new_key()[0].public_key, name=name, at=NOW) for name in ("mine", "theirs"))
    keys.add(mine)
    added = keys.merge(TrustRoot((mine, theirs)))
    assert [one.name for one in added] == ["theirs"]
    keys.merge(TrustRoot((mine, theirs)).revoke("mine", reason="lost", at=NOW))
    assert keys.trust().find("mine").revoked_reason == "lost"
    assert keys.merge(TrustRoot((mine, theirs))) == ()
    assert keys.trust().find("mine").revoked_reason == "lost"
    assert [one.kind for one in told] == ["key.added", "key.added", "key.revoked"]


def test_another_trust_file_that_uses_a_name_for_another_key_changes_nothing(keys: ProjectKeys) -> None:
    one, two, three = (new_key()[0].public_key for _ in range(3))
    keys.add(trusted(one, name="release", at=NOW))
    before = keys.trust_file.read_bytes()
    with pytest.raises(InputError, match="another key is named 'release'"):
        keys.merge(TrustRoot((trusted(two, name="new", at=NOW), trusted(three, name="release", at=NOW))))
    assert keys.trust_file.read_bytes() == before


def test_changes_at_once_are_all_kept(keys: ProjectKeys) -> None:
    keys.signer(None, environ={})
    made = [trusted(new_key()[0].public_key, name=f"key-{n}", at=NOW) for n in range(8)]
    threads = [threading.Thread(target=keys.add, args=(one,)) for one in made]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {one.name for one in keys.trust()} == {"development", *(one.name for one in made)}


def test_a_private_key_is_not_trusted_but_refused(keys: ProjectKeys) -> None:
    keys.signer(None, environ={})
    pem = keys.development_file.read_text()
    with pytest.raises(KeyUnusableError, match="this is a private key; only public keys are trusted") as caught:
        trusted_pem(pem, name="release", at=NOW)
    assert pem.splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize("name", ["", "two words", "../x", "x" * 65, "-x"])
def test_a_key_needs_a_plain_name(name: str) -> None:
    with pytest.raises(KeyUnusableError, match="the key cannot be trusted like this: name") as caught:
        trusted(new_key()[0].public_key, name=name, at=NOW)
    assert caught.value.next_step
