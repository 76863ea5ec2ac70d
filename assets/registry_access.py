"""How a step reaches registries: the auth file it names, and TLS wherever the registry is not on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from maestro.errors import InputError
from maestro.oci.auth import AuthFile, find_auth_file, read_auth_file
from maestro.oci.reference import is_loopback
from maestro.oci.registry import Registry
from maestro.steps import StepContext


class RegistryAccess:
    """Credentials of a step, for Maestro's own client and for buildah and skopeo alike.

    Args:
        context: of the step.
        secret: name of the step's secret that holds an auth file; None: the file the environment names, or the one
            container tools find by themselves.

    Raises:
        InputError: the step does not have the secret, or the file is none.
    """

    def __init__(self, context: StepContext, secret: str | None) -> None:
        self.file = _auth_file(context.scratch, context.secrets, context.env, secret)
        self._auth = AuthFile() if self.file is None else read_auth_file(self.file)

    @contextmanager
    def registry(self, name: str) -> Iterator[Registry]:
        """A client of the registry ``name``."""
        with Registry(name, self._auth) as registry:
            yield registry

    def flags(self, registry: str, prefix: str = "") -> list[str]:
        """Flags of buildah and skopeo; ``prefix`` is ``src-`` or ``dest-`` for skopeo."""
        file = [f"--{prefix}authfile={self.file}"] if self.file else []
        return [*file, *([f"--{prefix}tls-verify=false"] if is_loopback(registry) else [])]


def _auth_file(scratch: Path, secrets: Mapping[str, str], env: Mapping[str, str], secret: str | None) -> Path | None:
    if secret is None:
        return find_auth_file(env)
    if secret not in secrets:
        raise InputError(
            f"'auth' names the secret '{secret}', which the step does not have",
            next_step=f"add {secret} to the step's `secrets`",
        )
    file = scratch / "auth.json"
    file.touch(mode=0o600)
    file.write_text(secrets[secret])
    return file
