"""Routes as catalogue files write them, to routes whose candidates are names of models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from maestro.ledger.model import nanodollars
from maestro.llm.catalogue import Model, Route, Rule
from maestro.llm.catalogue_entries import Entry, Field, Section, values_of
from maestro.llm.catalogue_problems import Problem, did_you_mean


def routes_of(
    section: Section,
    models: Mapping[str, Model],
    known: Collection[str],
    names: Collection[str],
    problems: list[Problem],
) -> dict[str, Route]:
    """The routes of joined files; what is wrong with them is added to ``problems``.

    Args:
        known, names: of all models and routes that are written, also of those that are wrong themselves.
    """
    found = {}
    for name, entry in section.items():
        value = values_of(entry)
        if "candidates" not in value and "any" not in value:
            problems.append(entry[""].problem(f"route '{name}' needs 'candidates' or 'any'"))
            continue
        if "candidates" in value and "any" in value:
            problems.append(entry["any"].problem(f"route '{name}' has both 'candidates' and 'any'"))
        problems += unknown_models(entry, known, names)
        found[name] = _route(name, value, models)
        if not found[name].candidates and "any" in value and len(models) == len(known):
            problems.append(entry["any"].problem(f"no model of the catalogue is what route '{name}' asks for"))
    return found


def no_model(name: str, known: Collection[str], routes: Collection[str]) -> str:
    """Why ``name`` cannot stand where a model has to."""
    if name in routes:
        return f"'{name}' is a route, and only models can stand here; name the models of that route"
    return f"there is no model '{name}'{did_you_mean(name, known)}"


def unknown_models(entry: Entry, known: Collection[str], routes: Collection[str]) -> Iterable[Problem]:
    """Every name in a route that is not one of ``known``; ``routes`` are the names of routes."""

    def unknown(field: Field, names: Iterable[str], *below: str | int) -> Iterable[Problem]:
        for place, model in enumerate(names):
            if model not in known:
                yield field.problem(no_model(model, known, routes), *below, place)

    for key in ("candidates", "downshift"):
        if key in entry:
            yield from unknown(entry[key], entry[key].value)
    for place, rule in enumerate(entry["rules"].value if "rules" in entry else ()):
        for key in ("prefer", "deny", "only"):
            yield from unknown(entry["rules"], getattr(rule, key) or (), place, key)


def _route(name: str, value: Mapping[str, Any], models: Mapping[str, Model]) -> Route:
    candidates = value.get("candidates")
    if candidates is None:
        candidates = [one.name for one in models.values() if _fits(one, value["any"])]
    downshift = tuple(dict.fromkeys(value.get("downshift", ())))
    return Route(
        name=name,
        # What a downshift takes is a candidate, if the last one.
        candidates=tuple(dict.fromkeys([*candidates, *downshift])),
        objective=value.get("objective", "quality"),
        min_quality=float(value.get("min_quality", 0.0)),
        rules=tuple(_rule(rule) for rule in value.get("rules", ())),
        downshift=downshift,
        regions=frozenset(value.get("regions", ())),
        max_nano=nanodollars(value["max_usd"], up=False) if "max_usd" in value else None,
        allow_unknown_price=value.get("allow_unknown_price", False),
        description=value.get("description", ""),
    )


def _fits(model: Model, wanted: Any) -> bool:
    return (
        set(wanted.capabilities or ()) <= model.capabilities
        and set(wanted.tags or ()) <= model.tags
        and (wanted.providers is None or model.provider in wanted.providers)
        and (wanted.regions is None or model.region in wanted.regions)
        and model.quality >= (wanted.min_quality or 0.0)
    )


def _rule(entry: Any) -> Rule:
    when = entry.when
    return Rule(
        input_tokens_over=when.input_tokens_over,
        input_tokens_under=when.input_tokens_under,
        needs=frozenset(when.needs or ()),
        tenants=tuple(when.tenants or ()),
        projects=tuple(when.projects or ()),
        prompts=tuple(when.prompts or ()),
        branches=tuple(when.branches or ()),
        personal=when.personal,
        pull_request=when.pull_request,
        prefer=tuple(entry.prefer or ()),
        deny=frozenset(entry.deny or ()),
        only=frozenset(entry.only or ()),
        min_quality=entry.min_quality,
        regions=frozenset(entry.regions or ()),
        because=entry.because or "",
    )
