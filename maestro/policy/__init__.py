"""Policy: Rego bundles, engines, and decisions that say why.

``source``, ``syntax``, ``checks`` and ``bundle`` load policies, ``bundle_building`` writes them; ``engine`` opens what
evaluates them (``in_process``, ``confined``, ``opa_server``); ``deciding`` turns the answer into a ``decision``, and
anything else into a deny; ``testing`` runs the tests of policies; ``waivers`` lets named findings pass for a time. The
packages themselves are in ``policies``.
"""

from maestro.policy.bundle import Bundle, load_bundle
from maestro.policy.deciding import decide
from maestro.policy.decision import Decision, Reason
from maestro.policy.engine import PolicyEngine, open_engine
from maestro.policy.errors import PolicyEngineError, PolicyError

__all__ = [
    "Bundle",
    "Decision",
    "PolicyEngine",
    "PolicyEngineError",
    "PolicyError",
    "Reason",
    "decide",
    "load_bundle",
    "open_engine",
]
