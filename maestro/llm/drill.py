"""An outage, rehearsed: where the requests of the past would have gone with some providers or models down."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from maestro.errors import InputError
from maestro.ledger.model import Attribution
from maestro.llm.catalogue import Catalogue, nearest
from maestro.llm.decide import decide
from maestro.llm.decisions import Kept, Outcome
from maestro.llm.model import Decision, ModelRequest, Usage
from maestro.llm.prices import cost
from maestro.llm.state import State
from maestro.llm.tokens import TokenCount

_TYPICAL = TokenCount(2_000, 8_000)
_ANSWERED = frozenset({"answered", "cached"})


@dataclass(frozen=True, slots=True)
class Moved:
    """Requests that would have gone elsewhere; ``to`` None: nowhere, they would have failed."""

    model: str
    to: str | None
    calls: int


@dataclass(frozen=True, slots=True)
class RouteDrill:
    """What the outage means for one route, or for one model or capability that was asked for.

    Args:
        calls: requests of the past; 0: there were none, and ``moved`` says what a typical one would meet.
        affected: of these, how many would have gone elsewhere or failed; those that failed anyway are not among them.
        failed: of these, how many nothing would have answered.
        before_nano, after_nano: what those that would still be answered have cost, and would have.
        unknown_cost: of these, how many have no known cost elsewhere; they are in neither sum.
        why: of a route without requests: the sentence of its decision.
    """

    route: str
    calls: int
    affected: int
    failed: int
    moved: tuple[Moved, ...]
    before_nano: int
    after_nano: int
    unknown_cost: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Drill:
    """The whole rehearsal: models that are down, and the routes, the worst off first."""

    down: tuple[str, ...]
    models: tuple[str, ...]
    routes: tuple[RouteDrill, ...]

    @property
    def elsewhere(self) -> int:
        """Requests another model would have answered."""
        return sum(one.affected - one.failed for one in self.routes)

    @property
    def failed(self) -> int:
        """Requests nothing would have answered."""
        return sum(one.failed for one in self.routes)


def drill(down: Collection[str], catalogue: Catalogue, past: Iterable[Kept], *, state: State | None = None) -> Drill:
    """Replays past decisions with providers or models down.

    A past request goes to the first model of its decision's order that is up: those are the ones that could be used
    then, with the keys, budgets and policies of then. What it would have cost follows from the tokens it really used.

    Args:
        down: names of providers or models.
        state: how things are now, for routes nobody has used; None: those are left out.

    Raises:
        InputError: a name is neither a provider nor a model.
    """
    models = _down(down, catalogue)
    by_route: dict[str, list[Kept]] = defaultdict(list)
    for one in past:
        by_route[one.decision.route or one.decision.target or catalogue.default_route].append(one)
    found = [_replayed(route, kept, models, catalogue) for route, kept in by_route.items()]
    if state is not None:
        found += [_imagined(route, models, catalogue, state) for route in catalogue.routes if route not in by_route]
    found.sort(key=lambda one: (-one.failed, -one.affected, one.route))
    return Drill(tuple(sorted(down)), tuple(sorted(models)), tuple(found))


def _down(names: Collection[str], catalogue: Catalogue) -> frozenset[str]:
    found: set[str] = set()
    for name in names:
        if name in catalogue.models:
            found.add(name)
        elif name in catalogue.providers:
            found |= {model.name for model in catalogue.models.values() if model.provider == name}
        else:
            near = nearest(name, {"provider": catalogue.providers, "model": catalogue.models})
            meant = f"; nearest: {', '.join(near)}" if near else ""
            raise InputError(f"'{name[:80]}' is no provider and no model{meant}", next_step="see `maestro llm models`")
    return frozenset(found)


def _replayed(route: str, kept: Iterable[Kept], down: frozenset[str], catalogue: Catalogue) -> RouteDrill:
    moved: Counter[tuple[str, str | None]] = Counter()
    calls = affected = before = after = unknown = 0
    for one in kept:
        calls += 1
        decision = one.decision
        model = (one.outcome.model if one.outcome and one.outcome.model else decision.chosen) or ""
        # One that had no answer then has none now; the outage has no part in it.
        if model not in down or (one.outcome is not None and one.outcome.state not in _ANSWERED):
            continue
        affected += 1
        left = [name for name in decision.order if name not in down]
        to = left[0] if left else None
        moved[model, to] += 1
        if to is None:
            continue
        was, would = _costs(decision, one.outcome, model, to, catalogue)
        if was is None or would is None:
            unknown += 1
        else:
            before += was
            after += would
    return RouteDrill(
        route=route,
        calls=calls,
        affected=affected,
        failed=sum(number for (_, to), number in moved.items() if to is None),
        moved=_sorted(moved),
        before_nano=before,
        after_nano=after,
        unknown_cost=unknown,
    )


def _costs(
    decision: Decision, outcome: Outcome | None, model: str, to: str, catalogue: Catalogue
) -> tuple[int | None, int | None]:
    """What it has cost and what it would have; where it was never answered, the worst case of both."""
    target = catalogue.models.get(to)
    if outcome is not None and outcome.state == "answered":
        usage = Usage(outcome.input_tokens, outcome.output_tokens)
        price = target.price if target else None
        return outcome.cost_nano, None if price is None else cost(price, usage)
    worst: Mapping[str, int | None] = {one.model: one.worst_nano for one in decision.candidates}
    return worst.get(model), worst.get(to)


def _imagined(route: str, down: frozenset[str], catalogue: Catalogue, state: State) -> RouteDrill:
    """A typical request to a route nobody has used."""
    request = ModelRequest((), target=route)
    who = Attribution("drill", "drill")
    usual = decide(request, who, state, catalogue, tokens=_TYPICAL)
    trouble = replace(state, unhealthy={**state.unhealthy, **dict.fromkeys(down, "it is down in this drill")})
    found = decide(request, who, trouble, catalogue, tokens=_TYPICAL)
    moved: Counter[tuple[str, str | None]] = Counter()
    if usual.chosen is not None and usual.chosen != found.chosen:
        moved[usual.chosen, found.chosen] = 0
    return RouteDrill(route, 0, 0, 0, _sorted(moved), 0, 0, why=found.why)


def _sorted(moved: Counter[tuple[str, str | None]]) -> tuple[Moved, ...]:
    rows = (Moved(model, to, number) for (model, to), number in moved.items())
    return tuple(sorted(rows, key=lambda one: (-one.calls, one.model, one.to or "")))
