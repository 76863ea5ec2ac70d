"""The types of evidence a project's contract may require, and the predicates that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from maestro.errors import InputError

Scope: TypeAlias = Literal["artifact", "source"]
EvidenceTypeName: TypeAlias = Literal[
    "decision", "delivery", "licenses", "provenance", "sbom", "secrets", "test-report", "vulnerabilities"
]

SLSA_PROVENANCE = "https://slsa.dev/provenance/v1"
CYCLONEDX = "https://cyclonedx.org/bom"
SPDX = "https://spdx.dev/Document"
VULNERABILITIES = "https://in-toto.io/attestation/vulns/v0.1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
REFERENCE = "https://in-toto.io/attestation/reference/v0.1"
SECRET_SCAN = "https://maestro.example/attestation/secret-scan/v1"  # pragma: allowlist secret
LICENSE_CHECK = "https://maestro.example/attestation/license-check/v1"
DECISION = "https://maestro.example/attestation/decision/v1"
DELIVERY = "https://maestro.example/attestation/delivery/v1"


@dataclass(frozen=True, slots=True)
class EvidenceType:
    """A type of evidence.

    Args:
        name: as workflows name it.
        scope: whether it is about what was made, or about the revision of the source.
        predicate_types: URIs of the predicates that may carry it.
        summary: one sentence, for people.
    """

    name: str
    scope: Scope
    predicate_types: tuple[str, ...]
    summary: str


EVIDENCE_TYPES: dict[str, EvidenceType] = {
    one.name: one
    for one in (
        EvidenceType("delivery", "artifact", (DELIVERY,), "What made it, under which cache key, with what else."),
        EvidenceType("provenance", "artifact", (SLSA_PROVENANCE,), "How it was built, and from what (SLSA v1)."),
        EvidenceType("sbom", "artifact", (CYCLONEDX, SPDX, REFERENCE), "What it is made of."),
        EvidenceType("vulnerabilities", "artifact", (VULNERABILITIES,), "Known vulnerabilities of what it is made of."),
        EvidenceType("licenses", "artifact", (LICENSE_CHECK,), "Licences of what it is made of."),
        EvidenceType("decision", "artifact", (DECISION,), "What a policy gate decided, and why."),
        EvidenceType("test-report", "source", (TEST_RESULT,), "Which tests ran, and how they ended."),
        EvidenceType("secrets", "source", (SECRET_SCAN,), "Whether secrets lie in the source."),
    )
}


def evidence_type(name: str) -> EvidenceType:
    """The type called ``name``.

    Raises:
        InputError: there is none.
    """
    found = EVIDENCE_TYPES.get(name)
    if found is None:
        raise InputError(
            f"there is no evidence type '{name}'", next_step=f"choose among {', '.join(sorted(EVIDENCE_TYPES))}"
        )
    return found
