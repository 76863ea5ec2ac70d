"""Where evidence is signed, kept and judged: the part of a profile's settings that is about evidence."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

DEVELOPMENT_BUILDER = "https://maestro.example/builders/development@v1"


class EvidenceConfig(BaseModel):
    """How evidence is signed and kept.

    Args:
        key: URI of the signing key, ``file:…``, ``pkcs11:…``, ``awskms:…``, ``gcpkms:…`` or ``azurekms:…``; None: a
            development key in the project's state folder, made on first use.
        trust: file of the keys whose signatures count; None: ``keys/trust.yaml`` in the project's state folder.
        builder: ``builder.id`` of SLSA provenance: who runs Maestro here.
        vault: URL of the evidence vault (``s3://…``); None: a folder in the project's state folder, not immutable.
        audit: URL of the audit log's database; None: a SQLite file in the project's state folder.
        origin: name of the audit log, in its checkpoints; None: ``maestro/<project>``.
        advisories: folder or file of the advisory database; None: in the project's state folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str | None = None
    trust: str | None = None
    builder: str = DEVELOPMENT_BUILDER
    vault: str | None = None
    audit: str | None = None
    origin: str | None = None
    advisories: str | None = None


class PolicyConfig(BaseModel):
    """How policy is evaluated.

    Args:
        opa: URL of an OPA server; None: in process.
        bundle: folder or file of the policy bundle; None: the packages Maestro ships.
        require_signed: refuse a bundle without a trusted signature.
        timeout: seconds one evaluation may take.
        environment: what is delivered to, unless a gate says otherwise.
        tenant: who owns the project.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    opa: str | None = None
    bundle: str | None = None
    require_signed: bool = False
    timeout: float = Field(2.0, gt=0, le=60)
    environment: str = "development"
    tenant: str = "default"
