"""What steps leave behind: bytes under their digest, records of what each step did, and the journal of outside effects.

All of it lies in one store, a folder or S3, so that every worker sees the same. Importing this package loads no
storage library; opening a store does.
"""

from maestro.artifacts.artifact import Artifact, StoredObject
from maestro.artifacts.collect import Collection, Verification, collect, plan_collection, verify_all
from maestro.artifacts.effects import EffectJournal
from maestro.artifacts.errors import (
    ArtifactMissingError,
    ArtifactStoreError,
    CorruptArtifactError,
    RecordError,
)
from maestro.artifacts.record_store import RecordStore
from maestro.artifacts.records import StepRecord
from maestro.artifacts.store import ArtifactStore
from maestro.artifacts.subject import Claim, Material, Subject

__all__ = [
    "Artifact",
    "ArtifactMissingError",
    "ArtifactStore",
    "ArtifactStoreError",
    "Claim",
    "Collection",
    "CorruptArtifactError",
    "EffectJournal",
    "Material",
    "RecordError",
    "RecordStore",
    "StepRecord",
    "StoredObject",
    "Subject",
    "Verification",
    "collect",
    "plan_collection",
    "verify_all",
]
