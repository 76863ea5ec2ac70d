"""Credentials of registries, from the file container tools keep them in (containers-auth.json(5))."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from maestro.errors import InputError
from maestro.oci.reference import DOCKER_HUB

_LIMIT = 1024 * 1024
_HUB_KEYS = ("docker.io", "index.docker.io", "https://index.docker.io/v1/")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user of a registry; never shown."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthFile:
    """Credentials by registry, or by registry and the beginning of a repository's path."""

    entries: Mapping[str, Credentials] = field(default_factory=dict)

    def for_repository(self, registry: str, repository: str) -> Credentials | None:
        """The credentials of the most specific entry, or None."""
        parts = [registry, *repository.split("/")]
        keys = ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
        if registry == DOCKER_HUB:
            keys += _HUB_KEYS
        return next((self.entries[key] for key in keys if key in self.entries), None)


def read_auth_file(file: Path) -> AuthFile:
    """The credentials in ``file``.

    Raises:
        InputError: it cannot be read, or is no such file. The message holds nothing of its content.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
    except OSError as error:
        raise _unusable(file, error.strerror or "it cannot be read") from error
    if len(data) > _LIMIT:
        raise _unusable(file, "it is larger than 1 MiB")
    return parse_auth(data, str(file))


def parse_auth(data: bytes, place: str) -> AuthFile:
    """The credentials in the text of an auth file.

    Raises:
        InputError: it is none.
    """
    try:
        found = json.loads(data).get("auths", {})
        return AuthFile({str(key): one for key, entry in found.items() if (one := _credentials(entry)) is not None})
    except (ValueError, AttributeError, RecursionError):
        # Not chained: the decoder's message may quote a password.
        raise _unusable(Path(place), "it is no JSON of the form {'auths': {'registry': {'auth': base64}}}") from None


def find_auth_file(environ: Mapping[str, str]) -> Path | None:
    """The auth file in use, looked for where buildah and skopeo do; None when there is none.

    That is ``REGISTRY_AUTH_FILE``, which need not exist, then a file in the run-time folder, then Docker's.
    """
    if named := environ.get("REGISTRY_AUTH_FILE"):
        return Path(named)
    runtime = environ.get("XDG_RUNTIME_DIR")
    places = [Path(runtime) / "containers"] if runtime else [Path(f"/run/containers/{os.getuid()}")]
    if home := environ.get("HOME"):
        places += [Path(home) / ".config" / "containers"]
    files = [place / "auth.json" for place in places]
    if home:
        files.append(Path(home) / ".docker" / "config.json")
    return next((file for file in files if file.is_file()), None)


def _credentials(entry: Mapping[str, str]) -> Credentials | None:
    if encoded := entry.get("auth"):
        try:
            text = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError from None
        username, colon, password = text.partition(":")
        if not colon:
            raise ValueError
        return Credentials(username, password.rstrip("\0"))
    if entry.get("username"):
        return Credentials(entry["username"], entry.get("password", ""))
    return None  # a credential helper has it


def _unusable(file: Path, why: str) -> InputError:
    return InputError(
        f"the registry credentials in '{file}' cannot be used: {why}",
        next_step="make the file with `skopeo login --authfile FILE REGISTRY`",
    )
