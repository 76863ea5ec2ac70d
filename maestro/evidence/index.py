"""Which signed statements there are: small entries beside the artifacts, by revision and by subject.

An entry says nothing that is believed: whoever uses it reads the bundle it names and verifies that. An entry is written
after its bundle, and never changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maestro.artifacts import Artifact, ArtifactStore, RecordError, keys
from maestro.errors import InputError

_SCHEMA = 1
_TEXTS = ("project", "revision", "run_id", "step", "type", "predicate_type", "claim", "signed_at", "keyid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where one signed statement is.

    Args:
        type: evidence type.
        predicate_type: URI of its predicate.
        subjects: ``<algorithm>:<hex>``, one for each subject.
        bundle: the Sigstore bundle in the artifact store.
        names: other artifacts the statement names by digest, such as the report; kept as long as the entry stands.
        step: that made the claim.
        claim: sha256 over what is claimed, whenever and by whichever run.
        signed_at: RFC 3339.
        keyid: of the key it says it was signed with.
        audit_index: of the row in the audit log; None when there is none.
        vault: where the vault keeps it: ``key``, ``version``, ``until``, ``immutable``.
    """

    project: str
    revision: str
    run_id: str
    step: str
    type: str
    predicate_type: str
    subjects: tuple[str, ...]
    bundle: Artifact
    names: tuple[Artifact, ...]
    claim: str
    signed_at: str
    keyid: str
    audit_index: int | None = None
    vault: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        document = {name: getattr(self, name) for name in self.__slots__}
        document["schema"] = _SCHEMA
        document["subjects"] = list(self.subjects)
        document["bundle"] = self.bundle.to_json()
        document["names"] = [one.to_json() for one in self.names]
        document["vault"] = None if self.vault is None else dict(self.vault)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Entry:
        """The entry ``document`` describes.

        Raises:
            RecordError: it describes none.
        """
        try:
            if document["schema"] != _SCHEMA:
                raise ValueError(f"format {document['schema']!r} is not known")
            fields = {name: document[name] for name in cls.__slots__}
            if not all(isinstance(fields[name], str) for name in _TEXTS):
                raise TypeError("a member is no text")
            fields["subjects"] = tuple(document["subjects"])
            if not fields["subjects"] or not all(isinstance(one, str) for one in fields["subjects"]):
                raise ValueError("it is about nothing")
            if fields["audit_index"] is not None and type(fields["audit_index"]) is not int:
                raise TypeError("audit_index is no number")
            if fields["vault"] is not None and not isinstance(fields["vault"].get("key"), str):
                raise TypeError("vault has no key")
            fields["bundle"] = Artifact.from_json(document["bundle"])
            fields["names"] = tuple(Artifact.from_json(one) for one in document["names"])
            return cls(**fields)
        except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
            raise RecordError(f"this is no entry of the evidence index: {type(error).__name__}: {error}") from error


class EvidenceIndex:
    """The entries in one artifact store."""

    def __init__(self, store: ArtifactStore) -> None:
        self._objects = store.objects

    def add(self, entry: Entry) -> None:
        """Keeps ``entry``; one that is there already stays as it is."""
        data = json.dumps(entry.to_json(), sort_keys=True, separators=(",", ":")).encode()
        for subject in entry.subjects:
            self._objects.create(keys.evidence_of_subject(subject, entry.bundle.sha256), data)
        self._objects.create(keys.evidence_of_revision(entry.project, entry.revision, entry.bundle.sha256), data)

    def of_revision(self, project: str, revision: str) -> list[Entry]:
        """Every entry of the revision, oldest first.

        Raises:
            RecordError: an entry is damaged; what it stood for is then not known.
        """
        return self._under(
            keys.evidence_of_revision(project, revision),
            lambda entry: keys.evidence_of_revision(entry.project, entry.revision, entry.bundle.sha256),
        )

    def of_subject(self, digest: str) -> list[Entry]:
        """Every entry about what has the digest ``<algorithm>:<hex>``, of any revision, oldest first."""
        return self._under(
            keys.evidence_of_subject(digest),
            lambda entry: (
                keys.evidence_of_subject(digest, entry.bundle.sha256) if digest in entry.subjects else "elsewhere"
            ),
        )

    def _under(self, folder: str, place: Callable[[Entry], str]) -> list[Entry]:
        names: Sequence[str] = [info.key for info in self._objects.under(f"{folder}/")]
        return sorted((self._at(name, place) for name in names), key=lambda one: (one.signed_at, one.bundle.sha256))

    def _at(self, key: str, place: Callable[[Entry], str]) -> Entry:
        found = self._objects.read(key)
        if found is None:
            raise RecordError(f"entry {key} of the evidence index vanished while it was read", next_step="try again")
        try:
            entry = Entry.from_json(json.loads(found[0]))
            if place(entry) != key:
                raise RecordError(
                    f"it belongs elsewhere: to {entry.subjects[0]} at {entry.revision} of {entry.project}"
                )
            return entry
        except (RecordError, ValueError, RecursionError) as error:
            raise RecordError(
                f"entry {key} of the evidence index is damaged: {error}",
                next_step="find out who changed it; remove the entry, then run the step again, which writes it anew",
            ) from error
