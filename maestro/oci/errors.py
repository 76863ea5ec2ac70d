"""What goes wrong with images and registries.

::

    OciError
    ├── LayoutError              an image layout is damaged or hostile
    └── RegistryError            a registry did not do what was asked
        ├── UnreachableError     it does not answer
        ├── DeniedError          it wants other credentials
        ├── NotInRegistryError   it has no such image or blob
        └── MalformedAnswerError it answered with something no registry answers
"""

from __future__ import annotations

from maestro.errors import MaestroError


class OciError(MaestroError):
    """An image cannot be read, written or moved."""


class LayoutError(OciError):
    """An image layout, or an archive of one, is damaged or hostile; nothing of it was kept."""


class RegistryError(OciError):
    """A registry did not do what was asked."""


class UnreachableError(RegistryError):
    """The registry does not answer."""


class DeniedError(RegistryError):
    """The registry wants credentials, or other ones."""


class NotInRegistryError(RegistryError):
    """The registry has no such image, tag or blob."""


class MalformedAnswerError(RegistryError):
    """The answer is none a registry gives."""
