"""What a request asks for: a model, a route, a capability or nothing, as a group of candidates ready to be judged."""

from __future__ import annotations

from dataclasses import dataclass

from maestro.llm.catalogue import LOCAL, Catalogue, Model, Route
from maestro.llm.model import NoModelError
from maestro.llm.prices import Rate

Reasons = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model with what can be said of it before any request.

    Args:
        forbidden: reasons that hold for every request: what files restrict.
        rate: its prices where they do not depend on the size of the request.
        max_output: most tokens of an answer; a number no request reaches where it is unknown.
    """

    model: Model
    name: str
    position: int
    forbidden: Reasons
    rate: Rate | None
    max_output: int
    unknown_price_allowed: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The candidates of one target.

    Args:
        kind: ``model``, ``route`` or ``capability``.
        objective: what the order goes by.
        regions: limits on where data may go, each with who says so.
        max_nano: limits on the cost of one request, each with who says so.
    """

    target: str
    kind: str
    route: Route
    candidates: tuple[Candidate, ...]
    regions: tuple[tuple[frozenset[str], str], ...]
    max_nano: tuple[tuple[int, str], ...]


def group_of(catalogue: Catalogue, target: str) -> Group:
    """The candidates ``target`` stands for; the default route when it is empty.

    Raises:
        NoModelError: it is no model, route or capability.
    """
    found = catalogue.prepared.get(target)
    if found is None:
        found = catalogue.prepared[target] = _prepare(catalogue, target)
    assert isinstance(found, Group)
    return found


def candidate_of(catalogue: Catalogue, name: str, position: int, *, unknown_price: bool = False) -> Candidate:
    """One model, ready to be judged."""
    model = catalogue.models[name]
    forbidden: list[tuple[str, str]] = []
    for one in catalogue.restrictions:
        if one.models is not None and name not in one.models:
            forbidden.append(("rule", f"{one.source} restricts models to {_some(sorted(one.models))}"))
        if name in one.deny:
            forbidden.append(("rule", f"{one.source} denies this model"))
    price = model.price
    return Candidate(
        model=model,
        name=name,
        position=position,
        forbidden=tuple(forbidden),
        rate=price.rates[0] if price is not None and len(price.rates) == 1 else None,
        max_output=model.max_output or 1 << 40,
        unknown_price_allowed=unknown_price or catalogue.allow_unknown_price,
    )


def _prepare(catalogue: Catalogue, target: str) -> Group:
    name = target or catalogue.default_route
    regions = [(one.regions, one.source) for one in catalogue.restrictions if one.regions]
    limits = [(one.max_nano, one.source) for one in catalogue.restrictions if one.max_nano is not None]
    if name in catalogue.routes:
        kind, route = "route", catalogue.routes[name]
        if route.regions:
            regions.append((route.regions, f"route {name}"))
        if route.max_nano is not None:
            limits.append((route.max_nano, f"route {name}"))
    elif name in catalogue.models:
        kind, route = "model", Route("", (name,), objective="pinned")
    else:
        able = tuple(one.name for one in catalogue.models.values() if name in one.capabilities)
        if not able:
            raise unknown_target(catalogue, name)
        default = catalogue.routes.get(catalogue.default_route)
        kind, route = "capability", Route("", able, objective=default.objective if default else "quality")
    return Group(
        target=name,
        kind=kind,
        route=route,
        candidates=tuple(
            candidate_of(catalogue, one, place, unknown_price=route.allow_unknown_price)
            for place, one in enumerate(route.candidates)
        ),
        regions=tuple(regions),
        max_nano=tuple(limits),
    )


def unknown_target(catalogue: Catalogue, name: str) -> NoModelError:
    """The error for a name that is nothing, with what it may have meant."""
    near = catalogue.nearest(name)
    meant = f"; nearest: {', '.join(near)}" if near else ""
    shown = name if len(name) <= 80 else f"{name[:79]}…"
    return NoModelError(
        f"'{shown}' is no model, no route and no capability{meant}",
        next_step="see `maestro llm models`, or add it to models.yaml (docs/models.md)",
    )


def allowed_in(region: str, regions: frozenset[str]) -> bool:
    """Whether data may go to ``region`` where only ``regions`` are allowed; the own machines always are."""
    return region == LOCAL or region in regions


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:5])} and {len(names) - 5} more"
