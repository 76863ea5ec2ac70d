"""What can go wrong with policies.

::

    MaestroError
    ├── InputError
    │   └── PolicyError      a policy, a bundle, an input document or a waiver cannot be used
    └── PolicyEngineError    an engine gave no usable answer; `decide` turns it into a deny
"""

from __future__ import annotations

from maestro.errors import InputError, MaestroError


class PolicyError(InputError):
    """A policy, a bundle, an input document or a waiver cannot be used as it is."""


class PolicyEngineError(MaestroError):
    """An engine gave no usable answer: error, undefined, time-out, unreachable, wrong type.

    :func:`maestro.policy.decide` never lets it out: it is a deny with this as its reason.
    """
