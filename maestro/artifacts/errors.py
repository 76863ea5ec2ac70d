"""What can go wrong with stored bytes.

::

    MaestroError
    ├── ArtifactStoreError     the store does not answer, or refuses
    ├── ArtifactMissingError   nothing is stored under this digest
    ├── CorruptArtifactError   the stored bytes are not those of their digest
    └── RecordError            a record cannot be written or understood
"""

from __future__ import annotations

from maestro.errors import MaestroError


class ArtifactStoreError(MaestroError):
    """The artifact store does not answer, or refuses."""


class ArtifactMissingError(MaestroError):
    """Nothing is stored under this digest."""

    def __init__(self, sha256: str, store: str) -> None:
        super().__init__(
            f"artifact sha256:{sha256} is not in the artifact store {store}",
            next_step="run the step that makes it again",
        )
        self.sha256 = sha256


class CorruptArtifactError(MaestroError):
    """The stored bytes are not those of their digest; they are out of the way in ``quarantine/``."""

    def __init__(self, sha256: str, store: str) -> None:
        super().__init__(
            f"artifact sha256:{sha256} was corrupt in the artifact store {store} and is now in its quarantine",
            next_step="run the step that makes it again, and check the store's disk",
        )
        self.sha256 = sha256


class RecordError(MaestroError):
    """A record cannot be written or understood."""
