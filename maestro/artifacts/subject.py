"""What evidence is about: subjects, what they were made from, and the claims a step makes before they are signed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maestro.errors import InputError

_HEX = re.compile(r"[0-9a-f]{8,128}\Z")


def checked_digests(digest: Mapping[str, str], of: str) -> dict[str, str]:
    """``digest`` itself, if it is a DigestSet (in-toto): algorithm -> lower-case hexadecimal digits, at least one.

    Raises:
        InputError: it is not.
    """
    if not digest or not all(
        isinstance(name, str) and isinstance(value, str) and name and _HEX.match(value)
        for name, value in digest.items()
    ):
        raise InputError(
            f"{of!r} has no usable digest: {dict(digest)!r}"[:300],
            next_step="give at least one, like {'sha256': '64 lower-case hexadecimal digits'}",
        )
    return dict(digest)


@dataclass(frozen=True, slots=True)
class Subject:
    """Something a delivery leaves behind and evidence is about (an in-toto subject).

    Args:
        name: how people name it (``dist/app-1.0.whl``, ``localhost:5000/app``).
        digest: algorithm -> hexadecimal digits; ``sha256`` for files and OCI manifests, ``gitCommit`` or ``gitTree``
            for a revision of the source.
        uri: where it can be had, digest included (``docker://localhost:5000/app@sha256:…``); None: in the store only.
        media_type: RFC 6838; ``application/vnd.oci.image.manifest.v1+json`` or the index type for images.
        output: name of the step's output that holds its bytes (for an image: the archive of its OCI layout).
    """

    name: str
    digest: Mapping[str, str]
    uri: str | None = None
    media_type: str | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        checked_digests(self.digest, self.name)

    @property
    def is_source(self) -> bool:
        """It is a revision of the source, not something made from it."""
        return "sha256" not in self.digest

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        return {
            "name": self.name,
            "digest": dict(self.digest),
            "uri": self.uri,
            "media_type": self.media_type,
            "output": self.output,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Subject:
        """The subject ``document`` describes. Raises InputError, KeyError or TypeError when it describes none."""
        return cls(
            name=document["name"],
            digest=document["digest"],
            uri=document.get("uri"),
            media_type=document.get("media_type"),
            output=document.get("output"),
        )


@dataclass(frozen=True, slots=True)
class Material:
    """Something a subject was made from (a ``resolvedDependency`` of SLSA v1 provenance).

    Args:
        uri: what it is, ``git+https://…@<commit>``, ``pkg:docker/debian@bookworm``, ``maestro:step/build/wheel``.
        digest: algorithm -> hexadecimal digits.
        name: how people name it.
    """

    uri: str
    digest: Mapping[str, str]
    name: str | None = None

    def __post_init__(self) -> None:
        checked_digests(self.digest, self.uri)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        return {"uri": self.uri, "digest": dict(self.digest), "name": self.name}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Material:
        """The material ``document`` describes. Raises InputError, KeyError or TypeError when it describes none."""
        return cls(document["uri"], document["digest"], document.get("name"))


@dataclass(frozen=True, slots=True)
class Claim:
    """What a step says about subjects, before Maestro signs it. A step never holds the key.

    Args:
        type: the evidence type, as workflows name it: ``sbom``, ``vulnerabilities``, ``provenance``, ``test-report``,
            ``secrets``, ``licenses``, ``decision``.
        predicate_type: URI of the predicate (in-toto).
        subjects: what it is about; empty: the revision of the source.
        predicate: JSON object; None when ``output`` holds it, or for provenance, which Maestro writes itself.
        output: name of the step's output that holds the predicate as JSON.
        report: name of the step's output with the whole report, when the predicate is only its summary; the statement
            carries its digest, so that whoever reads the report knows that it is the one that was signed.
        of_step: for provenance: the step that made the subjects; None: this one.
    """

    type: str
    predicate_type: str
    subjects: tuple[Subject, ...] = ()
    predicate: Mapping[str, Any] | None = field(default=None)
    output: str | None = None
    report: str | None = None
    of_step: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        return {
            "type": self.type,
            "predicate_type": self.predicate_type,
            "subjects": [one.to_json() for one in self.subjects],
            "predicate": None if self.predicate is None else dict(self.predicate),
            "output": self.output,
            "report": self.report,
            "of_step": self.of_step,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Claim:
        """The claim ``document`` describes. Raises InputError, KeyError or TypeError when it describes none."""
        return cls(
            type=document["type"],
            predicate_type=document["predicate_type"],
            subjects=tuple(Subject.from_json(one) for one in document["subjects"]),
            predicate=document["predicate"],
            output=document["output"],
            report=document["report"],
            of_step=document["of_step"],
        )
