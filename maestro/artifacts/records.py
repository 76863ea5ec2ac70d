"""What a step did, kept as JSON: versioned, and with its own digest, so that a damaged record is no record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from maestro.artifacts.artifact import Artifact
from maestro.artifacts.errors import RecordError
from maestro.artifacts.subject import Claim, Material, Subject
from maestro.errors import InputError

SCHEMA = 2
"""Version of the record format; a reader refuses any other."""

CacheState: TypeAlias = Literal["hit", "miss", "off"]
_CACHE_STATES: tuple[CacheState, ...] = ("hit", "miss", "off")
_LISTS: Mapping[str, Any] = {"subjects": Subject, "materials": Material, "claims": Claim, "evidence": Artifact}


class UnknownSchemaError(RecordError):
    """The record was written by another version of Maestro."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What a step did.

    Args:
        project: the repository delivered.
        workflow: name of its workflow.
        revision: git commit id, or ``worktree-<digest>``.
        step: ``stage/id``, or ``stage/id/cell`` for a matrix cell.
        kind: the step kind, with ``kind_version``.
        cache_key: None when the step is not cacheable.
        passed: what its check says.
        summary: one line for people.
        outputs: files it left behind.
        values: small values other steps read; JSON types.
        metadata: what the Dagster UI shows; JSON types.
        log: its combined output.
        exit_code: of the process that decided, when there was one.
        cost_usd: money spent, United States dollars.
        run_id: the run this record belongs to.
        made_by_run: the run that really executed it; another one on a cache hit.
        started: Unix seconds.
        seconds: wall time.
        made_started, made_seconds: the same of the run that really executed it.
        cache: ``hit``, ``miss`` or ``off``.
        subjects: what it delivers.
        materials: what that was made from, besides the parts of the cache key.
        params: the step's ``with``, evaluated; JSON types, masked.
        key_parts: what went into the cache key: name -> digest or value, never a secret.
        claims: what it says about subjects; signed anew for each revision.
        evidence: the signed bundles of its claims, named by evidence type.
    """

    project: str
    workflow: str
    revision: str
    step: str
    kind: str
    kind_version: str
    cache_key: str | None
    passed: bool
    summary: str
    outputs: tuple[Artifact, ...]
    run_id: str
    made_by_run: str
    started: float
    seconds: float
    cache: CacheState
    values: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    log: Artifact | None = None
    exit_code: int | None = None
    cost_usd: float = 0.0
    made_started: float = 0.0
    made_seconds: float = 0.0
    subjects: tuple[Subject, ...] = ()
    materials: tuple[Material, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    key_parts: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    evidence: tuple[Artifact, ...] = ()

    def artifacts(self) -> Iterator[Artifact]:
        """Everything in the store this record names: its outputs, its evidence, then its log."""
        yield from self.outputs
        yield from self.evidence
        if self.log is not None:
            yield self.log

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        document = {name: getattr(self, name) for name in self.__slots__}
        document["outputs"] = [artifact.to_json() for artifact in self.outputs]
        document["log"] = self.log.to_json() if self.log else None
        document["values"] = dict(self.values)
        document["metadata"] = dict(self.metadata)
        document["params"] = dict(self.params)
        document["key_parts"] = dict(self.key_parts)
        for name in ("subjects", "materials", "claims", "evidence"):
            document[name] = [one.to_json() for one in getattr(self, name)]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> StepRecord:
        """The record ``document`` describes; members it does not know are left aside.

        Raises:
            RecordError: it describes none.
        """
        try:
            fields = {name: document[name] for name in cls.__slots__}
            fields["outputs"] = tuple(Artifact.from_json(output) for output in document["outputs"])
            fields["log"] = Artifact.from_json(document["log"]) if document["log"] else None
            for name, model in _LISTS.items():
                fields[name] = tuple(model.from_json(one) for one in document[name])
            if document["cache"] not in _CACHE_STATES or not isinstance(document["passed"], bool):
                raise TypeError("a member has a value it cannot have")
            return cls(**fields)
        except (KeyError, TypeError, AttributeError, InputError) as error:
            raise RecordError(f"this is no step record: {type(error).__name__}: {error}") from error


def encode(record: StepRecord) -> bytes:
    """The record as UTF-8 JSON.

    Raises:
        RecordError: a value or a metadata entry is no JSON.
    """
    try:
        body = _canonical(record.to_json())
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(
            f"what step '{record.step}' returned cannot be recorded: {error}",
            next_step=f"let step kind '{record.kind}' return only strings, finite numbers, lists and objects",
        ) from error
    digest = hashlib.sha256(body).hexdigest()
    return b'{"schema":%d,"sha256":"%s","record":%s}\n' % (SCHEMA, digest.encode(), body)


def decode(data: bytes) -> StepRecord:
    """The record in ``data``.

    Raises:
        UnknownSchemaError: another version of Maestro wrote it.
        RecordError: it is damaged.
    """
    try:
        document = json.loads(data)
        schema, digest, record = document["schema"], document.get("sha256"), document.get("record")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError("the record is damaged: it is no complete JSON") from error
    if schema != SCHEMA:
        raise UnknownSchemaError(
            f"the record has format {schema!r}, and this version of Maestro knows format {SCHEMA}",
            next_step="use the version of Maestro that wrote it, or a newer one",
        )
    if not isinstance(record, dict) or hashlib.sha256(_canonical(record)).hexdigest() != digest:
        raise RecordError("the record is damaged: its digest does not match")
    return StepRecord.from_json(record)


def _canonical(document: Mapping[str, Any]) -> bytes:
    # ASCII, so that a lone surrogate in a program's output is kept rather than refused.
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
