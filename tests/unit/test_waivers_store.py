"""Kept waivers: only signed, unrevoked, unexpired ones count."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro.artifacts import ArtifactStore
from maestro.audit import AuditEvent
from maestro.policy import PolicyError
from maestro.policy.waiver_store import keep_waiver, kept_waivers, revoke_waiver
from maestro.policy.waivers import Waiver, load_waivers, make_waiver
from maestro.signing import TrustedKey, TrustRoot
from maestro.signing.key_file import KeyFileSigner, new_key

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(str(tmp_path / "artifacts"))


@pytest.fixture
def signer() -> KeyFileSigner:
    return new_key()[0]


@pytest.fixture
def trust(signer: KeyFileSigner) -> TrustRoot:
    return TrustRoot((TrustedKey.of(signer.public_key, name="lead", valid_from=datetime(2020, 1, 1, tzinfo=UTC)),))


def waiver(finding: str = "CVE-2026-1") -> Waiver:
    return make_waiver(finding, reason="why", approver="ada", expires=NOW + timedelta(days=9), now=NOW)


def states(store: ArtifactStore, trust: TrustRoot, now: datetime = NOW) -> list[tuple[str, str | None]]:
    return [(one.state, one.reason) for one in kept_waivers(store, trust, now=now)]


def test_a_signed_waiver_counts(store: ArtifactStore, trust: TrustRoot, signer: KeyFileSigner) -> None:
    made = waiver()
    keep_waiver(store, made, signer)
    assert load_waivers(store, trust, now=NOW) == (made,)
    assert kept_waivers(store, trust, now=NOW)[0].signer == "lead"


def test_an_expired_waiver_does_not_count(store: ArtifactStore, trust: TrustRoot, signer: KeyFileSigner) -> None:
    keep_waiver(store, waiver(), signer)
    later = NOW + timedelta(days=10)
    assert load_waivers(store, trust, now=later) == ()
    assert states(store, trust, later)[0][0] == "expired"


def test_a_revoked_waiver_does_not_count(store: ArtifactStore, trust: TrustRoot, signer: KeyFileSigner) -> None:
    id_ = keep_waiver(store, waiver(), signer)
    assert revoke_waiver(store, id_, reason="a fix is out", by="eve", signer=signer, now=NOW)
    assert load_waivers(store, trust, now=NOW) == ()
    assert not revoke_waiver(store, id_, reason="again", by="eve", signer=signer, now=NOW)


def test_whatever_lies_at_a_revocations_place_revokes(
    store: ArtifactStore, trust: TrustRoot, signer: KeyFileSigner
) -> None:
    id_ = keep_waiver(store, waiver(), signer)
    store.objects.replace(f"waivers/{id_}.revoked.json", b"anything")
    assert states(store, trust) == [("revoked", "it was revoked")]


def test_a_waiver_of_a_stranger_does_not_count(store: ArtifactStore, trust: TrustRoot) -> None:
    keep_waiver(store, waiver(), new_key()[0])
    assert load_waivers(store, trust, now=NOW) == ()
    assert "is not trusted here" in (states(store, trust)[0][1] or "")


def test_a_changed_waiver_does_not_count(store: ArtifactStore, trust: TrustRoot, signer: KeyFileSigner) -> None:
    id_ = keep_waiver(store, waiver(), signer)
    key = f"waivers/{id_}.json"
    found = store.objects.read(key)
    assert found is not None
    bundle = json.loads(found[0])
    payload = bundle["dsseEnvelope"]["payload"]
    bundle["dsseEnvelope"]["payload"] = payload[:-8] + ("A" if payload[-8] != "A" else "B") + payload[-7:]
    store.objects.replace(key, json.dumps(bundle).encode())
    assert [state for state, _why in states(store, trust)] == ["rejected"]


def test_a_waiver_kept_under_another_id_does_not_count(
    store: ArtifactStore, trust: TrustRoot, signer: KeyFileSigner
) -> None:
    id_ = keep_waiver(store, waiver(), signer)
    found = store.objects.read(f"waivers/{id_}.json")
    assert found is not None
    store.objects.replace("waivers/000000000000.json", found[0])
    assert sorted(state for state, _why in states(store, trust)) == ["active", "rejected"]


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[" * 100_000])
def test_what_is_no_waiver_does_not_count(data: bytes, store: ArtifactStore, trust: TrustRoot) -> None:
    store.objects.replace("waivers/000000000000.json", data)
    assert [state for state, _why in states(store, trust)] == ["rejected"]


def test_the_same_waiver_is_not_kept_twice(store: ArtifactStore, signer: KeyFileSigner) -> None:
    keep_waiver(store, waiver(), signer)
    with pytest.raises(PolicyError, match="is there already"):
        keep_waiver(store, waiver(), signer)


@pytest.mark.parametrize("id_", ["000000000000", "../x", ""])
def test_a_waiver_that_is_not_there_cannot_be_revoked(id_: str, store: ArtifactStore, signer: KeyFileSigner) -> None:
    with pytest.raises(PolicyError, match="there is no waiver"):
        revoke_waiver(store, id_, reason="r", by="eve", signer=signer, now=NOW)


def test_a_revocation_needs_a_reason(store: ArtifactStore, signer: KeyFileSigner) -> None:
    id_ = keep_waiver(store, waiver(), signer)
    with pytest.raises(PolicyError, match="a revocation needs a reason"):
        revoke_waiver(store, id_, reason=" ", by="eve", signer=signer, now=NOW)


def test_adding_and_revoking_are_audited(store: ArtifactStore, signer: KeyFileSigner) -> None:
    seen: list[AuditEvent] = []
    id_ = keep_waiver(store, waiver(), signer, audit=seen.append)
    revoke_waiver(store, id_, reason="r", by="eve", signer=signer, now=NOW, audit=seen.append)
    assert [(one.kind, one.actor, one.object) for one in seen] == [
        ("waiver.added", "ada", id_),
        ("waiver.revoked", "eve", id_),
    ]


def test_a_waiver_that_cannot_be_audited_is_not_kept(
    store: ArtifactStore, trust: TrustRoot, signer: KeyFileSigner
) -> None:
    def broken(_event: AuditEvent) -> None:
        raise OSError("the log is full")

    with pytest.raises(OSError, match="the log is full"):
        keep_waiver(store, waiver(), signer, audit=broken)
    assert states(store, trust) == []
