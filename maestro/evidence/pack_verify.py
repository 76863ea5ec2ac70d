"""Verifies an evidence pack offline: digests, signatures, what statements are about, reports, audit proofs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro.errors import InputError, MaestroError
from maestro.evidence import pack_layout as layout
from maestro.evidence.pack_reading import read_pack, sha256
from maestro.evidence.verify import check_about

if TYPE_CHECKING:
    from maestro.signing import TrustRoot


@dataclass(frozen=True, slots=True)
class PackReport:
    """What verifying a pack has shown.

    Args:
        project, revision: what it is the evidence of.
        statements: one row each: ``type``, ``subjects``, ``signer``, ``development``, ``signed_at``, ``audit``.
        problems: what does not hold; empty: everything does.
        own_keys: only keys of the pack itself were at hand, so it was not shown who made it.
        checkpoint: size of the audit log and its key, as the pack has it; None without an audit log.
    """

    project: str
    revision: str
    statements: tuple[Mapping[str, Any], ...]
    problems: tuple[str, ...]
    own_keys: bool
    checkpoint: str | None

    @property
    def holds(self) -> bool:
        """Everything verifies."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        return {
            "holds": self.holds,
            "project": self.project,
            "revision": self.revision,
            "own_keys": self.own_keys,
            "checkpoint": self.checkpoint,
            "statements": [dict(one) for one in self.statements],
            "problems": list(self.problems),
        }


def verify_pack(path: Path, *, trust: TrustRoot | None, audit_key: str | None = None) -> PackReport:
    """Verifies the pack at ``path``.

    Args:
        trust: whose signatures count; None: the keys in the pack, which shows only that it fits together.
        audit_key: the audit log's public key, as ``maestro audit`` prints it; None: the one in the pack.

    Raises:
        InputError: it is no pack.
    """
    files = read_pack(path)
    index = _index(path, files)
    problems = _digests(files, index)
    own_keys = trust is None
    if trust is None:
        from maestro.signing.trust_file import parse

        trust = parse(files.get(layout.TRUST, b""), file=layout.TRUST)
    rows = []
    for row in index["statements"]:
        try:
            rows.append(_statement(files, index, row, trust))
        except (MaestroError, KeyError, TypeError, AttributeError, ValueError) as error:
            what = error.what if isinstance(error, MaestroError) else f"{type(error).__name__}: {error}"
            problems.append(f"{row.get('file') if isinstance(row, dict) else row}: {what}")
    named = {row.get("file") for row in index["statements"] if isinstance(row, dict)}
    problems += [
        f"{name}: no entry of the index names it"
        for name in sorted(files)
        if name.endswith(".sigstore.json") and name not in named
    ]
    checkpoint = _proofs(files, index, audit_key, problems)
    return PackReport(str(index["project"]), str(index["revision"]), tuple(rows), tuple(problems), own_keys, checkpoint)


def _index(path: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    from maestro.signing.strict_json import NotStrictJsonError
    from maestro.signing.strict_json import parse as parse_json

    wrong = f"'{path.name}' is refused as an evidence pack: "
    if layout.INDEX not in files:
        raise InputError(f"{wrong}it has no {layout.INDEX}", next_step="ask for the pack again")
    try:
        index = parse_json(files[layout.INDEX], max_bytes=layout.MOST_INDEX_BYTES)
    except NotStrictJsonError as error:
        raise InputError(f"{wrong}its {layout.INDEX} cannot be read: {error}", next_step="ask for it again") from None
    fits = (
        isinstance(index, dict)
        and isinstance(index.get("files"), dict)
        and isinstance(index.get("statements"), list)
        and isinstance(index.get("project"), str)
        and isinstance(index.get("revision"), str)
    )
    if not fits or index.get("schema") != layout.SCHEMA:
        raise InputError(
            f"{wrong}its {layout.INDEX} is of another format", next_step="use the version of Maestro that made it"
        )
    found: dict[str, Any] = index
    return found


def _digests(files: Mapping[str, bytes], index: Mapping[str, Any]) -> list[str]:
    listed: Mapping[str, Any] = index["files"]
    problems = [f"{name}: it is missing" for name in sorted(set(listed) - set(files))]
    for name, data in sorted(files.items()):
        if name in (layout.INDEX, layout.README):
            continue
        if name not in listed:
            problems.append(f"{name}: the index does not list it")
        elif sha256(data) != listed[name]:
            problems.append(f"{name}: it was changed; its digest is {sha256(data)}, the index says {listed[name]}")
    return problems


def _statement(
    files: Mapping[str, bytes], index: Mapping[str, Any], row: Mapping[str, Any], trust: TrustRoot
) -> dict[str, Any]:
    from maestro.signing import parse_bundle, verify_bundle

    data = files[row["file"]]
    verified = verify_bundle(data, trust)
    for subject in row["subjects"]:
        check_about(verified, type_=row["type"], subject=subject, project=index["project"], revision=index["revision"])
    bundle = parse_bundle(data)
    stem = row["file"].removesuffix(".sigstore.json")
    if files.get(f"{stem}.pae") != bundle.signed_bytes or files.get(f"{stem}.sig") != bundle.signature:
        raise InputError(f"{stem}.pae or {stem}.sig is not what the statement has")
    _reports(files, row, verified.statement.subjects[0].annotations.get("maestro.report"))
    return {
        "type": row["type"],
        "subjects": list(row["subjects"]),
        "signer": verified.signer.name,
        "keyid": verified.signer.keyid,
        "development": verified.signer.development,
        "signed_at": row.get("signed_at"),
        "audit": row.get("audit"),
        "file": row["file"],
    }


def _reports(files: Mapping[str, bytes], row: Mapping[str, Any], signed: object) -> None:
    for digest, name in row["reports"].items():
        if digest != signed:
            raise InputError(f"{name} is not the report that was signed")
        if name not in files or sha256(files[name]) != digest:
            raise InputError(f"{name} is missing or was changed")
    if signed is not None and signed not in row["reports"]:
        raise InputError(f"the report {signed} it was signed with is missing")


def _proofs(
    files: Mapping[str, bytes], index: Mapping[str, Any], audit_key: str | None, problems: list[str]
) -> str | None:
    """Checks the row of each statement in the audit log; adds what does not hold to ``problems``."""
    from maestro.audit import InclusionProof, VerifierKey, read_proof

    rows = [row for row in index["statements"] if isinstance(row, dict) and row.get("audit")]
    if not rows:
        return None
    try:
        key = VerifierKey.parse((audit_key or files[layout.AUDIT_KEY].decode()).strip())
    except (MaestroError, KeyError, UnicodeDecodeError) as error:
        problems.append(f"{layout.AUDIT_KEY}: the audit log's key cannot be read: {error}")
        return None
    for row in rows:
        try:
            proof = read_proof(files[row["audit"]])
            if not isinstance(proof, InclusionProof):
                raise InputError("it is another kind of proof")
            proof.verify(key)
            bundle = sha256(files[row["file"]])
            logged = proof.entry["data"]
            if proof.entry["kind"] != "evidence.signed" or logged.get("bundle") != bundle:
                raise InputError(f"the row it proves is about another statement than {row['file']}")
            if proof.checkpoint.encode() != files[layout.CHECKPOINT]:
                raise InputError("it was proved against another checkpoint than the pack's")
        except (MaestroError, KeyError, TypeError, AttributeError, ValueError) as error:
            what = error.what if isinstance(error, MaestroError) else f"{type(error).__name__}: {error}"
            problems.append(f"{row['audit']}: {what}")
    lines = files.get(layout.CHECKPOINT, b"").decode(errors="replace").splitlines()
    return f"{lines[0]}, {lines[1]} entries" if len(lines) > 1 else None
