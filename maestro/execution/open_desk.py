"""Opens the evidence desk of a project, as its profile says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from maestro.artifacts import ArtifactStore
from maestro.profile import Profile
from maestro.project import Project

if TYPE_CHECKING:
    from maestro.evidence.desk import EvidenceDesk


def open_desk(
    project: Project, name: str, profile: Profile, store: ArtifactStore, environ: Mapping[str, str]
) -> EvidenceDesk:
    """The desk of the project called ``name``; keys, log and vault are opened when they are needed."""
    from maestro.evidence.desk import EvidenceDesk

    settings = profile.settings
    return EvidenceDesk(
        home=project.ensure_home(),
        project=name,
        store=store,
        config=settings.evidence,
        policy=settings.policy,
        environ=environ,
    )
