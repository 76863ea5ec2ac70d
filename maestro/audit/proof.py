"""Proofs a stranger can check offline: that an entry is in the log, that a log begins with an earlier one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maestro.audit.checkpoint import Checkpoint, open_checkpoint
from maestro.audit.errors import AuditInputError, NoteError, ProofError
from maestro.audit.event import Row, moment, parse_canonical, read_entry
from maestro.audit.merkle import check_consistency, root_by_inclusion
from maestro.audit.note import VerifierKey, decode_base64

INCLUSION_TYPE = "application/vnd.maestro.audit-inclusion+json"
CONSISTENCY_TYPE = "application/vnd.maestro.audit-consistency+json"
_ENTRY_KEYS = {"actor", "at", "data", "index", "kind", "object"}
_LONGEST = 1 << 22


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That an entry is in the log a checkpoint was signed over.

    Args:
        entry: the object that is hashed.
        hashes: from the leaf upwards.
        checkpoint: the signed note.
    """

    entry: Mapping[str, Any]
    hashes: Sequence[bytes]
    checkpoint: str

    def to_json(self) -> dict[str, Any]:
        """The content of a proof file."""
        return {
            "mediaType": INCLUSION_TYPE,
            "entry": dict(self.entry),
            "hashes": [base64.b64encode(one).decode() for one in self.hashes],
            "checkpoint": self.checkpoint,
        }

    def verify(self, key: VerifierKey) -> Checkpoint:
        """The checkpoint, after everything was checked.

        Raises:
            NoteError: the checkpoint is not signed by ``key``.
            ProofError: the entry is not in that log.
        """
        checkpoint = open_checkpoint(self.checkpoint, [key])
        entry = self.entry
        index = entry.get("index")
        if set(entry) != _ENTRY_KEYS or not isinstance(index, int) or isinstance(index, bool):
            raise ProofError("the entry does not have the parts of an audit entry", next_step="get the proof again")
        leaf = _leaf(entry, index)
        if root_by_inclusion(index, checkpoint.size, leaf, self.hashes) != checkpoint.root:
            raise ProofError(
                f"entry {index} is not in the log as it was signed at size {checkpoint.size}",
                next_step="the entry or the proof was changed; get the proof again",
            )
        return checkpoint


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That the log of one checkpoint begins with all of the log of an earlier one."""

    old: str
    new: str
    hashes: Sequence[bytes]

    def to_json(self) -> dict[str, Any]:
        """The content of a proof file."""
        return {
            "mediaType": CONSISTENCY_TYPE,
            "old": self.old,
            "new": self.new,
            "hashes": [base64.b64encode(one).decode() for one in self.hashes],
        }

    def verify(self, key: VerifierKey) -> tuple[Checkpoint, Checkpoint]:
        """Both checkpoints, after everything was checked.

        Raises:
            NoteError: a checkpoint is not signed by ``key``.
            ProofError: the later log does not begin with the earlier one.
        """
        old, new = open_checkpoint(self.old, [key]), open_checkpoint(self.new, [key])
        check_consistency(old.size, new.size, old.root, new.root, self.hashes)
        return old, new


def read_proof(data: bytes) -> InclusionProof | ConsistencyProof:
    """The proof of a file.

    Raises:
        AuditInputError: it is not one.
    """
    wrong = AuditInputError("this is not a proof file", next_step="write one with `maestro audit prove INDEX`")
    if len(data) > _LONGEST:
        raise wrong
    try:
        content = json.loads(data, parse_constant=_refuse)
        kind = content.pop("mediaType")
        hashes = [decode_base64(one) for one in content.pop("hashes")]
        if len(hashes) > 200 or any(len(one) != 32 for one in hashes):
            raise wrong
        if kind == INCLUSION_TYPE and content.keys() == {"entry", "checkpoint"}:
            texts, entry = [content["checkpoint"]], content["entry"]
            if isinstance(entry, dict) and isinstance(texts[0], str):
                return InclusionProof(entry, hashes, texts[0])
        if kind == CONSISTENCY_TYPE and content.keys() == {"old", "new"}:
            texts = [content["old"], content["new"]]
            if all(isinstance(one, str) for one in texts):
                return ConsistencyProof(texts[0], texts[1], hashes)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise wrong from None
    raise wrong


def _leaf(entry: Mapping[str, Any], index: int) -> bytes:
    import rfc8785

    try:
        row = Row(entry["at"], entry["actor"], entry["kind"], entry["object"], rfc8785.dumps(entry["data"]).decode())
        parse_canonical(row.data)
        found = read_entry(index, row)
        assert moment(found.at) == row.at
        return found.leaf
    except (ValueError, TypeError, AssertionError, RecursionError):
        raise ProofError("the entry cannot be one of an audit log", next_step="get the proof again") from None


def _refuse(word: str) -> Any:
    raise ValueError(word)


__all__ = ["ConsistencyProof", "InclusionProof", "NoteError", "read_proof"]
