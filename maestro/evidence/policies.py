"""The policy engine a profile's settings name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from maestro.evidence.config import PolicyConfig

if TYPE_CHECKING:
    from maestro.policy import PolicyEngine
    from maestro.signing import TrustRoot


def open_policy(config: PolicyConfig, trust: Callable[[], TrustRoot]) -> PolicyEngine:
    """What evaluates policy: the bundle of the settings or the one Maestro ships, in process or by an OPA server.

    Args:
        trust: whose signatures count, asked for when the bundle has to be signed.

    Raises:
        MaestroError: the bundle cannot be loaded, or is not signed as it must be.
    """
    from maestro.policy import load_bundle, open_engine

    bundle = load_bundle(
        None if config.bundle is None else Path(config.bundle), trust=trust() if config.require_signed else None
    )
    return open_engine(bundle, opa_url=config.opa, timeout=config.timeout)
