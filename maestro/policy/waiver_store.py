"""Where waivers are kept: ``waivers/<id>.json`` in the artifact store, each a Sigstore bundle.

A revocation lies beside it, ``waivers/<id>.revoked.json``. Whatever lies there revokes, signed or not: a doubt about a
waiver is never resolved in its favour. Who can delete from the store can undo a revocation; the audit log keeps it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from maestro.policy.decision import canonical
from maestro.policy.errors import PolicyError
from maestro.policy.waivers import Waiver

if TYPE_CHECKING:
    from maestro.artifacts import ArtifactStore
    from maestro.audit import AuditEvent
    from maestro.signing import Signer, TrustRoot

WAIVERS = "waivers"
PREDICATE_TYPE = "https://maestro.example/attestation/waiver/v1"
REVOCATION_TYPE = "https://maestro.example/attestation/waiver-revocation/v1"
_ID = re.compile(r"[0-9a-f]{12}")
_LARGEST = 256 * 1024

Audit = Callable[["AuditEvent"], object]
State = Literal["active", "expired", "revoked", "rejected"]


@dataclass(frozen=True, slots=True)
class KeptWaiver:
    """A waiver as it is kept.

    Args:
        id: by its key.
        waiver: None when it cannot be believed.
        state: only ``active`` ones count.
        reason: why it does not count.
        signer: name of the key that signed it.
    """

    id: str
    waiver: Waiver | None
    state: State
    reason: str | None = None
    signer: str | None = None


def keep_waiver(store: ArtifactStore, waiver: Waiver, signer: Signer, *, audit: Audit | None = None) -> str:
    """Signs and keeps a waiver; its id. Audited before it counts.

    Raises:
        PolicyError: the very same one is there already.
    """
    if store.objects.info(_key(waiver.id)) is not None:
        raise PolicyError(f"the waiver {waiver.id} is there already", next_step="see it with `maestro waivers list`")
    bundle = _signed(waiver.id, PREDICATE_TYPE, waiver.to_json(), signer)
    _tell(audit, "waiver.added", waiver.approver, waiver.id, {**waiver.to_json(), "keyid": signer.keyid})
    store.objects.create_durably(_key(waiver.id), bundle)
    return waiver.id


def revoke_waiver(
    store: ArtifactStore, id_: str, *, reason: str, by: str, signer: Signer, now: datetime, audit: Audit | None = None
) -> bool:
    """Lets a waiver stop counting; False when it was revoked before.

    Raises:
        PolicyError: there is no such waiver, or no reason is given.
    """
    if not reason.strip() or not reason.isprintable():
        raise PolicyError("a revocation needs a reason, in one line", next_step="give it with --reason")
    if not _ID.fullmatch(id_) or store.objects.info(_key(id_)) is None:
        raise PolicyError(f"there is no waiver '{id_[:40]}'", next_step="list them with `maestro waivers list`")
    at = now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    bundle = _signed(id_, REVOCATION_TYPE, {"id": id_, "reason": reason.strip(), "by": by, "at": at}, signer)
    new = store.objects.create_durably(_revoked_key(id_), bundle)
    if new:
        _tell(audit, "waiver.revoked", by, id_, {"reason": reason.strip(), "keyid": signer.keyid})
    return new


def kept_waivers(store: ArtifactStore, trust: TrustRoot, *, now: datetime) -> tuple[KeptWaiver, ...]:
    """All waivers in ``store`` and whether they count, sorted by id."""
    names = {info.key.rsplit("/", 1)[-1] for info in store.objects.under(WAIVERS)}
    ids = sorted(name.removesuffix(".json") for name in names if not name.endswith(".revoked.json"))
    found = [id_ for id_ in ids if _ID.fullmatch(id_)]
    revoked = {name.removesuffix(".revoked.json") for name in names if name.endswith(".revoked.json")}
    return tuple(store.objects.each(lambda id_: _judged(store, id_, trust, now, id_ in revoked), found))


def _judged(store: ArtifactStore, id_: str, trust: TrustRoot, now: datetime, revoked: bool) -> KeptWaiver:
    from maestro.errors import MaestroError
    from maestro.signing import check_predicate, check_subject, verify_bundle

    try:
        read = store.objects.read(_key(id_))
        data = b"" if read is None else read[0]
        if len(data) > _LARGEST:
            raise PolicyError("it is too large")
        verified = verify_bundle(data, trust, at=now)
        check_predicate(verified.statement, PREDICATE_TYPE)
        waiver = Waiver.from_json(verified.statement.predicate)
        check_subject(verified.statement, {"sha256": _digest(id_, verified.statement.predicate)})
        if waiver.id != id_:
            raise PolicyError(f"it is the waiver {waiver.id}, kept under another id")
    except MaestroError as error:
        return KeptWaiver(id_, None, "rejected", error.what)
    signer = verified.signer.name
    if revoked:
        return KeptWaiver(id_, waiver, "revoked", "it was revoked", signer)
    if waiver.expired(now):
        return KeptWaiver(id_, waiver, "expired", f"it expired at {waiver.expires}", signer)
    return KeptWaiver(id_, waiver, "active", None, signer)


def _signed(id_: str, predicate_type: str, predicate: dict[str, Any], signer: Signer) -> bytes:
    from maestro.artifacts import Subject
    from maestro.signing import make_statement, sign_statement

    subject = Subject(f"waiver:{id_}", {"sha256": _digest(id_, predicate)})
    return sign_statement(make_statement([subject], predicate_type, predicate), signer)


def _digest(id_: str, predicate: dict[str, Any]) -> str:
    return hashlib.sha256(id_.encode() + b"\n" + canonical(predicate)).hexdigest()


def _tell(audit: Audit | None, kind: str, actor: str, object_: str, data: dict[str, Any]) -> None:
    if audit is not None:
        from maestro.audit import AuditEvent

        audit(AuditEvent(kind=kind, actor=actor, object=object_, data=data))


def _key(id_: str) -> str:
    return f"{WAIVERS}/{id_}.json"


def _revoked_key(id_: str) -> str:
    return f"{WAIVERS}/{id_}.revoked.json"
