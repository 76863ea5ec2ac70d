"""Verifies an evidence pack offline: digests, signatures, what statements are about, reports, audit proofs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro.errors import InputError, MaestroError
from maestro.evidence import pack_layout as layout
from maestro.evidence.pack_reading import PackFiles, read_pack
from maestro.evidence.verify import check_about, named_digests, subjects_of

if TYPE_CHECKING:
    from maestro.audit import VerifierKey
    from maestro.signing import TrustRoot, Verified

_PARTS = (".pae", ".sig", ".key")
_OF_INDEX = frozenset(f"{layout.SIGNED_INDEX}{suffix}" for suffix in (layout.BUNDLE, *_PARTS))
_UNFIT = (MaestroError, KeyError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True, slots=True)
class PackReport:
    """What verifying a pack has shown.

    Args:
        project, revision: what it is the evidence of.
        made_at: when, as the pack says; RFC 3339.
        statements: one row each: ``type``, ``subjects``, ``signer``, ``development``, ``signed_at``, ``audit``.
        problems: what does not hold; empty: everything does.
        own_keys: only keys of the pack itself were at hand, so it was not shown who made it.
        checkpoint: name and size of the audit log, as the pack has it; None when that does not hold.
    """

    project: str
    revision: str
    made_at: str
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
            "made_at": self.made_at,
            "own_keys": self.own_keys,
            "checkpoint": self.checkpoint,
            "statements": [dict(one) for one in self.statements],
            "problems": list(self.problems),
        }


def verify_pack(path: Path, *, trust: TrustRoot | None, audit_key: str | None = None) -> PackReport:
    """Verifies the pack at ``path``.

    Args:
        trust: whose signatures count; None: the keys in the pack, which shows only that it fits together.
        audit_key: the audit log's public key, as its ``.pub`` file has it; None: the one in the pack, which the signed
            index names.

    Raises:
        InputError: it is no pack, or ``audit_key`` is no key.
    """
    from maestro.audit import VerifierKey

    given = None if audit_key is None else VerifierKey.parse(audit_key.strip())
    files = read_pack(path)
    index = _index(path, files)
    own_keys = trust is None
    if trust is None:
        from maestro.signing.trust_file import parse

        trust = parse(files.contents.get(layout.TRUST, b""), file=layout.TRUST)
    problems = [*_signed(files, index, trust), *_digests(files, index), *_public_keys(files)]
    rows = []
    for row in index["statements"]:
        try:
            rows.append(_statement(files, index, row, trust))
        except _UNFIT as error:
            problems.append(f"{row.get('file') if isinstance(row, dict) else row}: {_what(error)}")
    named = Counter(str(row.get("file")) for row in index["statements"] if isinstance(row, dict))
    if not named:
        problems.append(f"{layout.INDEX}: it names no statement")
    problems += [f"{name}: the index names it twice" for name, times in named.items() if times > 1]
    problems += [
        f"{name}: no entry of the index names it"
        for name in sorted(files.contents)
        if name.endswith(layout.BUNDLE) and name not in named and name != f"{layout.SIGNED_INDEX}{layout.BUNDLE}"
    ]
    aside = index["quarantined"]
    problems += [f"{digest} is in quarantine: {why}" for digest, why in sorted(aside.items())]
    checkpoint = _proofs(files, index, given, problems)
    return PackReport(
        index["project"], index["revision"], index["made_at"], tuple(rows), tuple(problems), own_keys, checkpoint
    )


def _what(error: Exception) -> str:
    return error.what if isinstance(error, MaestroError) else f"{type(error).__name__}: {error}"


def _index(path: Path, files: PackFiles) -> dict[str, Any]:
    from maestro.signing.strict_json import NotStrictJsonError
    from maestro.signing.strict_json import parse as parse_json

    wrong = f"'{path.name}' is refused as an evidence pack: "
    if layout.INDEX not in files.contents:
        raise InputError(f"{wrong}it has no {layout.INDEX}", next_step="ask for the pack again")
    try:
        index = parse_json(files.contents[layout.INDEX], max_bytes=layout.MOST_INDEX_BYTES)
    except NotStrictJsonError as error:
        raise InputError(f"{wrong}its {layout.INDEX} cannot be read: {error}", next_step="ask for it again") from None
    kinds = {"files": dict, "quarantined": dict, "statements": list, "project": str, "revision": str, "made_at": str}
    fits = isinstance(index, dict) and all(isinstance(index.get(name), kind) for name, kind in kinds.items())
    if not fits or index.get("schema") != layout.SCHEMA or len(index["statements"]) > layout.MOST_FILES:
        raise InputError(
            f"{wrong}its {layout.INDEX} is of another format", next_step="use the version of Maestro that made it"
        )
    found: dict[str, Any] = index
    return found


def _signed(files: PackFiles, index: Mapping[str, Any], trust: TrustRoot) -> list[str]:
    """What is wrong with the statement about the index; without it, anything could have been left out."""
    from maestro.signing import check_predicate, check_revision, check_subject

    try:
        verified = _opened(files, layout.SIGNED_INDEX, trust)
        check_predicate(verified.statement, layout.PREDICATE_TYPE)
        check_subject(verified.statement, {"sha256": files.digests[layout.INDEX].removeprefix("sha256:")})
        check_revision(verified.statement, project=index["project"], revision=index["revision"])
    except KeyError as error:
        return [f"{layout.INDEX}: it is not signed, so anything may have been left out: {error} is missing"]
    except MaestroError as error:
        return [f"{layout.INDEX}: its signature does not hold: {error.what}"]
    return []


def _digests(files: PackFiles, index: Mapping[str, Any]) -> list[str]:
    listed: Mapping[str, Any] = index["files"]
    problems = [f"{name}: it is missing" for name in sorted(set(listed) - set(files.digests))]
    for name, digest in sorted(files.digests.items()):
        if name == layout.INDEX or name in _OF_INDEX:
            continue
        if name not in listed:
            problems.append(f"{name}: the index does not list it")
        elif digest != listed[name]:
            problems.append(f"{name}: it was changed; its digest is {digest}, the index says {listed[name]}")
    return problems


def _public_keys(files: PackFiles) -> list[str]:
    """Keys that are not those their names say: who verifies with openssl would take them for others."""
    from maestro.signing import PublicKey

    problems = []
    for name, data in sorted(files.contents.items()):
        if name.startswith(f"{layout.KEYS}/") and name != layout.TRUST:
            try:
                fits = name == f"{layout.KEYS}/{PublicKey.from_pem(data.decode()).keyid}.pem"
            except (MaestroError, UnicodeDecodeError):
                fits = False
            if not fits:
                problems.append(f"{name}: it is not the key its name says")
    return problems


def _opened(files: PackFiles, stem: str, trust: TrustRoot) -> Verified:
    """A statement whose signature holds, and whose parts for openssl are its own."""
    from maestro.signing import parse_bundle, verify_bundle

    data = files.contents[f"{stem}{layout.BUNDLE}"]
    verified = verify_bundle(data, trust)
    bundle = parse_bundle(data)
    parts = (bundle.signed_bytes, bundle.signature, f"{bundle.keyid}\n".encode())
    for suffix, wanted in zip(_PARTS, parts, strict=True):
        if files.contents.get(f"{stem}{suffix}") != wanted:
            raise InputError(f"{stem}{suffix} is not what the statement has")
    return verified


def _statement(files: PackFiles, index: Mapping[str, Any], row: Mapping[str, Any], trust: TrustRoot) -> dict[str, Any]:
    verified = _opened(files, row["file"].removesuffix(layout.BUNDLE), trust)
    subjects = subjects_of(verified.statement)
    if row["subjects"] != list(subjects):
        raise InputError(f"the index says it is about {row['subjects']}, and it is about {list(subjects)}")
    for subject in subjects:
        origin = check_about(
            verified, type_=row["type"], subject=subject, project=index["project"], revision=index["revision"]
        )
    _reports(files, row["reports"], named_digests(verified, origin))
    return {
        "type": row["type"],
        "subjects": list(subjects),
        "step": origin.step,
        "signer": verified.signer.name,
        "keyid": verified.signer.keyid,
        "development": verified.signer.development,
        "signed_at": origin.signed_at.isoformat().replace("+00:00", "Z"),
        "audit": row["audit"],
        "file": row["file"],
    }


def _reports(files: PackFiles, reports: Mapping[str, Any], signed: set[str]) -> None:
    for digest, name in reports.items():
        if digest not in signed:
            raise InputError(f"{name} is no document that was signed")
        if files.digests.get(name) != digest:
            raise InputError(f"{name} is missing or was changed")
    lacking = sorted(signed - set(reports))
    if lacking:
        raise InputError(f"the document {lacking[0]}, which it was signed with, is missing")


def _proofs(files: PackFiles, index: Mapping[str, Any], given: VerifierKey | None, problems: list[str]) -> str | None:
    """Checks the row of each statement in the audit log; adds what does not hold to ``problems``."""
    from maestro.audit import VerifierKey, open_checkpoint

    try:
        key = given or VerifierKey.parse(files.contents[layout.AUDIT_KEY].decode().strip())
        note = files.contents[layout.CHECKPOINT].decode()
        checkpoint = open_checkpoint(note, [key])
    except (MaestroError, KeyError, UnicodeDecodeError) as error:
        problems.append(f"{layout.CHECKPOINT}: it does not hold: {_what(error)}")
        return None
    for row in index["statements"]:
        try:
            _proof(files, row, key, note)
        except _UNFIT as error:
            name = row.get("audit") or row.get("file") if isinstance(row, dict) else row
            problems.append(f"{name}: its signing is not shown to be in the audit log: {_what(error)}")
    return f"{key.name}, {checkpoint.size} entries"


def _proof(files: PackFiles, row: Mapping[str, Any], key: VerifierKey, note: str) -> None:
    from maestro.audit import InclusionProof, read_proof

    proof = read_proof(files.contents[row["audit"]])
    if not isinstance(proof, InclusionProof):
        raise InputError("it is another kind of proof")
    proof.verify(key)
    if proof.checkpoint != note:
        raise InputError("it was proved against another checkpoint than the pack's")
    if proof.entry["kind"] != "evidence.signed" or proof.entry["data"].get("bundle") != files.digests[row["file"]]:
        raise InputError(f"the row it proves is about another statement than {row['file']}")
