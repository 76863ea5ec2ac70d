"""Makes the evidence pack of a revision (see ``pack_layout``)."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maestro.artifacts import Artifact
from maestro.errors import InputError
from maestro.evidence import pack_layout as layout
from maestro.evidence.desk import EvidenceDesk
from maestro.evidence.errors import EvidenceError
from maestro.evidence.index import Entry
from maestro.evidence.verify import EvidenceStatus


def write_pack(desk: EvidenceDesk, revision: str, target: Path) -> dict[str, Any]:
    """Writes the pack of ``revision`` to ``target``; what ``index.json`` says.

    Every statement is verified first: a pack that would not verify is not made.

    Raises:
        InputError: there is no evidence of the revision, or ``target`` is there already.
        EvidenceError: a statement does not verify.
    """
    entries = desk.index.of_revision(desk.project, revision)
    if not entries:
        raise InputError(
            f"there is no evidence of revision {revision} of {desk.project}",
            next_step="run the workflow first: maestro run",
        )
    if target.exists():
        raise InputError(f"{target} is there already", next_step="give another name with --output")
    statuses = [_verified(desk, entry) for entry in entries]
    made_at = desk.now().isoformat(timespec="seconds").replace("+00:00", "Z")
    files = dict(_files(desk, entries, statuses))
    index = {
        "schema": layout.SCHEMA,
        "project": desk.project,
        "revision": revision,
        "made_at": made_at,
        "statements": [_statement(position, one) for position, one in enumerate(statuses)],
        "subjects": sorted({digest for entry in entries for digest in entry.subjects}),
        "files": {name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in sorted(files.items())},
    }
    files[layout.README] = layout.README_TEXT.format(
        project=desk.project,
        revision=revision,
        made_at=made_at,
        statements="\n".join(
            f"- `{layout.STATEMENTS}/{_stem(position, entry)}`: {entry.type} of {', '.join(entry.subjects)}"
            for position, entry in enumerate(entries)
        ),
    ).encode()
    files[layout.INDEX] = json.dumps(index, indent=1, sort_keys=True).encode() + b"\n"
    _write(target, files)
    desk.note(
        "evidence.exported",
        revision,
        {"project": desk.project, "statements": len(entries), "pack": f"sha256:{_digest_of_file(target)}"},
    )
    return index


def _verified(desk: EvidenceDesk, entry: Entry) -> EvidenceStatus:
    status = desk.verifier.check(entry.bundle, entry.type, entry.subjects[0], entry.revision, entry)
    if status.state != "verified":
        raise EvidenceError(
            f"the {entry.type} statement sha256:{entry.bundle.sha256} of step '{entry.step}' does not verify: "
            f"{status.reason}",
            next_step=f"see `maestro evidence show {entry.revision}`; run the step again",
        )
    return status


def _files(desk: EvidenceDesk, entries: list[Entry], statuses: list[EvidenceStatus]) -> Iterator[tuple[str, bytes]]:
    """Every file but the index and the README."""
    from maestro.signing import TrustRoot, parse_bundle
    from maestro.signing.trust_file import dump

    signers = {}
    rows = []
    for position, (entry, status) in enumerate(zip(entries, statuses, strict=True)):
        data = desk.store.get_bytes(entry.bundle.sha256)
        bundle = parse_bundle(data)
        stem = f"{layout.STATEMENTS}/{_stem(position, entry)}"
        yield f"{stem}.sigstore.json", data
        yield f"{stem}.pae", bundle.signed_bytes
        yield f"{stem}.sig", bundle.signature
        yield f"{stem}.key.json", json.dumps({"keyid": bundle.keyid}).encode() + b"\n"
        for report in entry.names:
            yield _report(position, report), desk.store.get_bytes(report.sha256)
        assert status.verified is not None
        signers[status.verified.signer.keyid] = status.verified.signer
        if entry.audit_index is not None:
            rows.append(entry.audit_index)
    yield layout.TRUST, dump(TrustRoot(tuple(signers.values())))
    for keyid, key in signers.items():
        yield f"{layout.KEYS}/{keyid}.pem", key.public_key.encode()
    checkpoint = ""
    for row in sorted(set(rows)):
        proof = desk.audit.prove(row)
        checkpoint = checkpoint or proof.checkpoint
        yield f"{layout.AUDIT}/{row}.json", json.dumps(proof.to_json(), indent=1).encode() + b"\n"
    yield layout.CHECKPOINT, checkpoint.encode()
    yield layout.AUDIT_KEY, f"{desk.audit.key}\n".encode()


def _stem(position: int, entry: Entry) -> str:
    return f"{position:03d}-{entry.type}"


def _report(position: int, report: Artifact) -> str:
    name = "".join(one if one.isalnum() or one in "._-" else "_" for one in report.name)[-80:]
    return f"{layout.REPORTS}/{position:03d}-{name}"


def _statement(position: int, status: EvidenceStatus) -> dict[str, Any]:
    entry = status.entry
    assert entry is not None
    assert status.verified is not None
    return {
        "file": f"{layout.STATEMENTS}/{_stem(position, entry)}.sigstore.json",
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
        "audit": None if entry.audit_index is None else f"{layout.AUDIT}/{entry.audit_index}.json",
        "vault": None if entry.vault is None else dict(entry.vault),
    }


def _write(target: Path, files: dict[str, bytes]) -> None:
    """The archive: sorted, without times and users, whole or not at all."""
    import zstandard

    partial = target.with_name(f".{target.name}.partial")
    try:
        with (
            partial.open("wb") as raw,
            zstandard.ZstdCompressor(level=10).stream_writer(raw) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name in (layout.README, layout.INDEX, *sorted(set(files) - {layout.README, layout.INDEX})):
                entry = tarfile.TarInfo(name)
                entry.mode, entry.size = 0o644, len(files[name])
                tar.addfile(entry, io.BytesIO(files[name]))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
