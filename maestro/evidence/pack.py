"""Makes the evidence pack of a revision (see ``pack_layout``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro.artifacts import Artifact, Subject
from maestro.errors import InputError
from maestro.evidence import pack_layout as layout
from maestro.evidence.desk import EvidenceDesk
from maestro.evidence.errors import EvidenceError
from maestro.evidence.index import Entry
from maestro.evidence.pack_writing import write_archive
from maestro.evidence.verify import EvidenceStatus
from maestro.signing.origin import write_seconds

if TYPE_CHECKING:
    from maestro.signing import TrustedKey


def write_pack(desk: EvidenceDesk, revision: str, target: Path) -> dict[str, Any]:
    """Writes the pack of ``revision`` to ``target``; what ``index.json`` says.

    Every statement is verified first, and those the audit log names must be there: a pack that would not verify, or
    lacks something, is not made.

    Raises:
        InputError: there is no evidence of the revision, or ``target`` cannot be written or is there already.
        EvidenceError: a statement does not verify or is missing.
    """
    entries = desk.index.of_revision(desk.project, revision)
    logged = {one.bundle: one.row for one in desk.logged(revision)}
    if not entries and not logged:
        raise InputError(
            f"there is no evidence of revision {revision} of {desk.project}",
            next_step="run the workflow first: maestro run; or name a revision, such as HEAD, when a file that git "
            "does not know has made the checkout another one"
            if revision.startswith("worktree-")
            else "run the workflow first: maestro run",
        )
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} is there already", next_step="give another name with --output")
    entries = [one for one in entries if not _replaced(desk, one, entries)]
    statuses = [_verified(desk, entry) for entry in entries]
    _refuse_withheld(desk, revision, entries)
    made_at = write_seconds(desk.now())
    signer = desk.signer
    own = desk.trust.by_keyid(signer.keyid)
    keys = {one.signer.keyid: one.signer for status in statuses if (one := status.verified) is not None}
    if own is not None:
        keys[own.keyid] = own
    files = dict(_files(desk, statuses, logged, keys.values()))
    index = {
        "schema": layout.SCHEMA,
        "project": desk.project,
        "revision": revision,
        "made_at": made_at,
        "statements": [_statement(position, one, logged) for position, one in enumerate(statuses)],
        "subjects": sorted({digest for entry in entries for digest in entry.subjects}),
        "quarantined": _quarantined(desk, entries),
    }
    files[layout.README] = layout.README_TEXT.format(
        project=desk.project,
        revision=revision,
        made_at=made_at,
        count=len(entries),
        statements="\n".join(
            f"- `{layout.STATEMENTS}/{_stem(position, entry)}`: {entry.type} of {', '.join(entry.subjects)}"
            for position, entry in enumerate(entries)
        ),
    ).encode()
    index["files"] = {name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in sorted(files.items())}
    files[layout.INDEX] = json.dumps(index, indent=1, sort_keys=True).encode() + b"\n"
    files |= _bundle_files(layout.SIGNED_INDEX, _signed_index(desk, revision, files[layout.INDEX]))
    digest = write_archive(target, files)
    desk.note(
        "evidence.exported",
        revision,
        {"project": desk.project, "statements": len(entries), "pack": f"sha256:{digest}"},
    )
    return index


def _replaced(desk: EvidenceDesk, entry: Entry, entries: Sequence[Entry]) -> bool:
    """It does not hold any more, but the same step has since made one about the same that does."""
    if desk.verifier.check_entry(entry).state == "verified":
        return False
    return all(
        any(
            status.origin is not None and status.origin.step == entry.step and status.state == "verified"
            for status in desk.verifier.statuses(entry.type, subject, entry.revision, entries)
        )
        for subject in entry.subjects
    )


def _verified(desk: EvidenceDesk, entry: Entry) -> EvidenceStatus:
    status = desk.verifier.check_entry(entry)
    if status.state != "verified":
        raise EvidenceError(
            f"the {entry.type} statement sha256:{entry.bundle.sha256} of step '{entry.step}' does not verify: "
            f"{status.reason}",
            next_step=f"see `maestro evidence show {entry.revision}`; run the step again",
        )
    return status


def _refuse_withheld(desk: EvidenceDesk, revision: str, entries: Sequence[Entry]) -> None:
    logged = desk.logged(revision)
    for type_, subject in {(one.type, subject) for one in logged for subject in one.subjects}:
        for status in desk.verifier.statuses(type_, subject, revision, entries, logged):
            if status.state != "verified":
                raise EvidenceError(
                    f"the pack would not be complete: {status.reason}",
                    next_step=f"see `maestro evidence verify {revision}`; run the step again",
                )


def _quarantined(desk: EvidenceDesk, entries: Sequence[Entry]) -> dict[str, str]:
    found = {digest: desk.quarantine.of(digest) for entry in entries for digest in entry.subjects}
    return {digest: one.reason for digest, one in found.items() if one is not None}


def _signed_index(desk: EvidenceDesk, revision: str, index: bytes) -> bytes:
    """A statement about the index, so that whoever has the pack sees when something was left out of it."""
    from maestro.signing import Origin, make_statement, sign_statement

    origin = Origin(desk.project, revision, "export", "export", desk.now(), layout.TYPE)
    subject = Subject(layout.INDEX, {"sha256": hashlib.sha256(index).hexdigest()})
    return sign_statement(make_statement([subject], layout.PREDICATE_TYPE, {}, origin=origin), desk.signer)


def _bundle_files(stem: str, data: bytes) -> dict[str, bytes]:
    """A bundle, and its parts as openssl takes them."""
    from maestro.signing import parse_bundle

    bundle = parse_bundle(data)
    return {
        f"{stem}{layout.BUNDLE}": data,
        f"{stem}.pae": bundle.signed_bytes,
        f"{stem}.sig": bundle.signature,
        f"{stem}.key": f"{bundle.keyid}\n".encode(),
    }


def _files(
    desk: EvidenceDesk, statuses: Sequence[EvidenceStatus], logged: Mapping[str, int], keys: Iterator[TrustedKey] | Any
) -> Iterator[tuple[str, bytes]]:
    """Every file but the index and the README."""
    from maestro.signing import TrustRoot
    from maestro.signing.trust_file import dump

    head = desk.audit.head()
    for position, status in enumerate(statuses):
        entry = _entry(status)
        data = desk.store.get_bytes(entry.bundle.sha256)
        yield from _bundle_files(f"{layout.STATEMENTS}/{_stem(position, entry)}", data).items()
        for report in entry.names:
            yield _report(position, report), desk.store.get_bytes(report.sha256)
        # All proofs are of one moment, whatever is appended meanwhile.
        proof = desk.audit.prove(_row(entry, logged), at=head)
        yield f"{layout.AUDIT}/{_row(entry, logged)}.json", json.dumps(proof.to_json(), indent=1).encode() + b"\n"
    trusted = tuple(keys)
    yield layout.TRUST, dump(TrustRoot(trusted))
    for key in trusted:
        yield f"{layout.KEYS}/{key.keyid}.pem", key.public_key.encode()
    yield layout.CHECKPOINT, head.note.encode()
    yield layout.AUDIT_KEY, f"{desk.audit.key}\n".encode()


def _entry(status: EvidenceStatus) -> Entry:
    assert status.entry is not None
    return status.entry


def _row(entry: Entry, logged: Mapping[str, int]) -> int:
    """The row of the audit log, by the log itself: what the index says of it is not believed."""
    row = logged.get(entry.bundle.sha256)
    if row is None:
        raise EvidenceError(
            f"the {entry.type} statement sha256:{entry.bundle.sha256} of step '{entry.step}' is in no row of this "
            "audit log",
            next_step="export it where it was signed, or set the same audit log for both (`audit` under `evidence` in "
            "the profile's settings.yaml)",
        )
    return row


def _stem(position: int, entry: Entry) -> str:
    return f"{position:03d}-{entry.type}"


def _report(position: int, report: Artifact) -> str:
    name = "".join(one if one.isascii() and (one.isalnum() or one in "._-") else "_" for one in report.name)[-60:]
    return f"{layout.REPORTS}/{position:03d}-{report.sha256[:8]}-{name}"


def _statement(position: int, status: EvidenceStatus, logged: Mapping[str, int]) -> dict[str, Any]:
    entry = _entry(status)
    assert status.verified is not None
    return {
        "file": f"{layout.STATEMENTS}/{_stem(position, entry)}{layout.BUNDLE}",
        "type": entry.type,
        "predicate_type": entry.predicate_type,
        "subjects": list(entry.subjects),
        "step": entry.step,
        "run": entry.run_id,
        "signed_at": entry.signed_at,
        "keyid": status.verified.signer.keyid,
        "signer": status.verified.signer.name,
        "development": status.verified.signer.development,
        "reports": {f"sha256:{one.sha256}": _report(position, one) for one in entry.names},
        "audit": f"{layout.AUDIT}/{_row(entry, logged)}.json",
        "vault": None if entry.vault is None else dict(entry.vault),
    }
