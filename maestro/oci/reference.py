"""Names of images: ``registry/repository:tag@sha256:…``, as container tools read them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from maestro.errors import InputError

DOCKER_HUB = "docker.io"

# The grammar of github.com/distribution/reference, in its parts.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_REGISTRY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_LONGEST_REPOSITORY = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image is.

    Args:
        registry: host, with a port when it has one.
        repository: path of the repository in the registry.
        tag: None when only a digest is named.
        digest: ``sha256:…``; None when only a tag is named.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str, *, registry_needed: bool = False) -> Reference:
        """The image ``text`` names; without a registry it is Docker Hub's, as for every container tool.

        Args:
            registry_needed: refuses a name without a registry, for places that are written to.

        Raises:
            InputError: it names none.
        """
        rest, _, digest = text.removeprefix("docker://").partition("@")
        if digest and not _DIGEST.match(digest):
            raise _no_reference(text, "its digest is not 'sha256:' and 64 hexadecimal digits")
        first, slash, others = rest.partition("/")
        named = bool(slash) and ("." in first or ":" in first or first == "localhost")
        if registry_needed and not named:
            raise _no_reference(text, "it names no registry")
        registry, path = (first, others) if named else (DOCKER_HUB, rest)
        repository, _, tag = path.partition(":")
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        if not _REGISTRY.match(registry):
            raise _no_reference(text, f"'{registry[:80]}' is no host name")
        if not _REPOSITORY.match(repository) or len(repository) > _LONGEST_REPOSITORY:
            raise _no_reference(text, "a repository has lower-case letters, digits, and single separators")
        if (tag or ":" in path) and not _TAG.match(tag):
            raise _no_reference(text, f"'{tag[:80]}' is no tag")
        return cls(registry, repository, tag or None, digest or None)

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """What is asked a registry for: the digest if there is one, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"

    @property
    def loopback(self) -> bool:
        """The registry is on this machine, where HTTP without TLS is enough."""
        return is_loopback(self.registry)

    def at(self, digest: str) -> Reference:
        """The same repository, exactly this digest."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{'@' + self.digest if self.digest else ''}"


def checked_tag(tag: str) -> str:
    """``tag`` itself, if it is one. Raises ValueError when it is not, for the validators of parameters."""
    if not _TAG.match(tag):
        raise ValueError(f"'{tag[:80]}' is no tag: letters, digits, '_', '.' and '-', at most 128 of them")
    return tag


def is_digest(text: object) -> bool:
    """Whether it is ``sha256:`` and 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and _DIGEST.match(text) is not None


def is_loopback(registry: str) -> bool:
    """Whether ``registry`` (``host`` or ``host:port``) is an address of this machine that no other can reach."""
    host = registry.partition(":")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _no_reference(text: str, why: str) -> InputError:
    return InputError(
        f"'{text[:200]}' is no image reference: {why}",
        next_step="write it like registry.example.com/team/app:1.0 or localhost:5000/app@sha256:…",
    )
