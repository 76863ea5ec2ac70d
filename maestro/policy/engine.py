"""What evaluates policies: one interface, in process, in a child process, or an OPA server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from maestro.policy.errors import PolicyEngineError

if TYPE_CHECKING:
    from maestro.policy.bundle import Bundle

TIMEOUT = 2.0
"""Seconds one evaluation may take unless somebody says otherwise."""


class PolicyEngine(Protocol):
    """Evaluates the policies of one bundle. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """What it is, for decisions: ``regorus 0.9.1``."""

    @property
    def bundle(self) -> Bundle:
        """The policies it evaluates."""

    def evaluate(self, policy: str, input_json: str) -> Any:
        """The value of ``data.maestro.<policy>`` for this input.

        Args:
            policy: ``supply_chain.release``.
            input_json: the input document.

        Raises:
            PolicyEngineError: there is no value: error, undefined, time-out, unreachable.
        """

    def close(self) -> None:
        """Ends what it has started; it cannot be used any more."""


def open_engine(
    bundle: Bundle, *, opa_url: str | None = None, timeout: float = TIMEOUT, confined: bool | None = None
) -> PolicyEngine:
    """The engine for ``bundle``.

    Args:
        opa_url: an OPA server that has this bundle; None: regorus, in this process or in a child of it.
        timeout: seconds one evaluation may take; over that it has no answer.
        confined: evaluate in a child process, which can be stopped in the midst of an evaluation and takes nothing with
            it when it crashes. None: for every bundle but the one Maestro ships.
    """
    if opa_url is not None:
        from maestro.policy.opa_server import OpaServer

        return OpaServer(bundle, opa_url, timeout=timeout)
    if confined if confined is not None else not bundle.builtin:
        from maestro.policy.confined import ConfinedEngine

        return ConfinedEngine(bundle, timeout=timeout)
    from maestro.policy.in_process import InProcessEngine

    return InProcessEngine(bundle, timeout=timeout)


def undefined(policy: str) -> PolicyEngineError:
    """There is no such rule, or it has no value for this input."""
    return PolicyEngineError(
        f"'{policy}' is undefined: the bundle has no such rule, or it has no value for this input",
        next_step="see the policies with `maestro policy bundle show`",
    )


def overdue(timeout: float) -> PolicyEngineError:
    """There was no answer in time."""
    return PolicyEngineError(
        f"there was no answer within {timeout:g} s",
        next_step="simplify the policy, or allow more time (`timeout` under `policy` in the profile's settings.yaml)",
    )
