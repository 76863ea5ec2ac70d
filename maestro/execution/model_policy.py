"""What evaluates policies about models: the engine of the profile in effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from maestro.server.home import HOME_VARIABLE, find_server

if TYPE_CHECKING:
    from maestro.policy import PolicyEngine


def engine_of(home: Path, environ: Mapping[str, str], profile: str | None = None) -> Callable[[], PolicyEngine]:
    """What opens the engine when it is first asked.

    Opening it raises MaestroError where profile, bundle or signature are not as they must be; whoever asks a policy
    takes that for a deny.

    Args:
        home: the state folder of a project or a server, for ``keys/trust.yaml``.
        environ: where ``MAESTRO_SERVER_HOME`` names a server, its profile counts and no other.
        profile: None: what ``MAESTRO_PROFILE`` says, else ``default``.
    """

    def opened() -> PolicyEngine:
        from maestro.evidence.policies import open_policy
        from maestro.profile import load_profile
        from maestro.signing import TrustRoot

        server = environ.get(HOME_VARIABLE)
        name = find_server(server, environ).settings.profile if server else profile
        settings = load_profile(name, environ).settings
        file = Path(settings.evidence.trust) if settings.evidence.trust else home / "keys" / "trust.yaml"
        return open_policy(settings.policy, lambda: TrustRoot.load(file) if file.exists() else TrustRoot())

    return opened
