"""The choice: every candidate gets a verdict, then the best of what is left is taken. Pure, and quick.

Nothing is asked here and nothing is reserved: all that is known comes as a :class:`~maestro.llm.state.State`. Only the
decision's id, when none is given, does not follow from the arguments.
"""

from __future__ import annotations

from maestro.ledger.model import Attribution
from maestro.llm.catalogue import Catalogue, Model
from maestro.llm.model import Decision, ModelRequest
from maestro.llm.state import Override, State
from maestro.llm.tokens import TokenCount


def decide(
    request: ModelRequest,
    attribution: Attribution,
    state: State,
    catalogue: Catalogue,
    *,
    tokens: TokenCount | None = None,
    override: Override | None = None,
    id: str = "",
) -> Decision:
    """Which model answers this request, in which order others are tried, and why.

    Args:
        tokens: of the request's input; None: they are counted here, which takes longer than the choice.
        override: one that holds for this request alone, before those of ``state``.
        id: of the decision; empty: a new one.

    Raises:
        NoModelError: the target names nothing. Where it does and no candidate is left, ``chosen`` of the decision is None.
    """
    raise NotImplementedError


def candidates_of(request: ModelRequest, catalogue: Catalogue) -> tuple[Model, ...]:
    """The models a decision about this request will judge, for whoever fills the state (policy, health).

    Raises:
        NoModelError: the target names nothing.
    """
    raise NotImplementedError
