"""Joins catalogue files into one catalogue: later ones change earlier ones, and what they may change is checked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from maestro.errors import Location
from maestro.ledger.model import nanodollars
from maestro.llm.catalogue import LOCAL, Catalogue, Given, Model, ProviderSettings, Restriction
from maestro.llm.catalogue_checking import Partial, check
from maestro.llm.catalogue_entries import Entry, Field, Section, values_of
from maestro.llm.catalogue_file import ModelsFile, PriceEntry, per_million_usd
from maestro.llm.catalogue_problems import CatalogueErrors, Problem, did_you_mean
from maestro.llm.catalogue_reading import Tree, read
from maestro.llm.catalogue_routes import no_model, routes_of, unknown_models
from maestro.llm.prices import FREE, Price, Prices, Rate, per_million

_TARGETS = ("routes", "models")
"""Whose names a request may give."""


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    role: str
    tree: Tree
    content: ModelsFile
    partial: Partial


def build(
    files: Sequence[Path | Given], *, builtin: Path | None, server: Path | Given | None, prices: Prices
) -> Catalogue:
    """The catalogue of these files.

    Raises:
        CatalogueErrors, InputError: as of :func:`maestro.llm.catalogue.load_catalogue`.
    """
    found, problems = _read_all(files, builtin=builtin, server=server)
    # What is wrong with an entry is told once; whoever names it is not wrong as well.
    known = {
        section: {name for file in found for name in _written(file.tree, section)}
        for section in ("providers", "models", "routes")
    }
    joined: dict[str, Section] = {"providers": {}, "models": {}, "routes": {}}
    for file in found:
        if file.role == "project" and server is not None:
            problems += _forbidden(file, joined["routes"], joined["models"])
        _join(joined, file)
    providers = _providers(joined["providers"], problems)
    models = _models(joined["models"], providers, known["providers"], prices, problems)
    routes = routes_of(joined["routes"], models, known["models"], known["routes"], problems)
    problems += _same_names(found, known)
    problems += _in_wrong_entries(found, known)
    settings = _settings(found, known, problems)
    restrictions = _restrictions(found, known, problems)
    if problems:
        raise CatalogueErrors(problems)
    made = Catalogue(
        models=models,
        routes=routes,
        providers=providers,
        restrictions=restrictions,
        files=tuple(file.tree.file for file in found),
        **settings,
    )
    return dataclasses.replace(made, digest=_digest(made))


def _read_all(
    files: Sequence[Path | Given], *, builtin: Path | None, server: Path | Given | None
) -> tuple[list[_File], list[Problem]]:
    paths = [("builtin", builtin), ("server", server), *(("project", path) for path in files)]
    found: list[_File] = []
    problems: list[Problem] = []
    unread = False
    for role, path in paths:
        if path is None:
            continue
        try:
            tree = read(path, name="the models Maestro knows" if role == "builtin" else None)
        except CatalogueErrors as error:
            problems += error.problems
            unread = True
            continue
        if tree is None:
            continue
        content, partial, wrong = check(tree)
        problems += wrong
        found.append(_File(role, tree, content, partial))
    if unread:
        # What it would have said is not known, and the others would be blamed for it.
        raise CatalogueErrors(problems)
    return found, problems


def _written(tree: Tree, section: str) -> Iterable[str]:
    entries = tree.data.get(section)
    return entries if isinstance(entries, dict) else ()


def _same_names(found: Sequence[_File], known: Mapping[str, Collection[str]]) -> Iterable[Problem]:
    """A target must not mean two things; told of whichever was written last, since the other was there before."""
    for name in sorted(set(known["models"]) & set(known["routes"])):
        last = next(file for file in reversed(found) if any(name in _written(file.tree, one) for one in _TARGETS))
        section = next(one for one in _TARGETS if name in _written(last.tree, one))
        other = "model" if section == "routes" else "route"
        first = next(file for file in found if name in _written(file.tree, f"{other}s"))
        where = "" if first is last else f" ({first.tree.file})"
        yield last.tree.problem(
            (section, name), f"'{name}' is a {other}{where}; a {section[:-1]} needs another name", key=True
        )


def _in_wrong_entries(found: Sequence[_File], known: Mapping[str, Collection[str]]) -> Iterable[Problem]:
    """What entries name that have other mistakes too, so that all are told at once."""
    for file in found:
        for name, route in file.partial.get("routes", {}).items():
            fields = _fields(route, file.tree, "routes", name)
            yield from unknown_models(fields, known["models"], known["routes"])
        for name, model in file.partial.get("models", {}).items():
            given = _fields(model, file.tree, "models", name).get("provider")
            if given is not None and given.value not in known["providers"]:
                yield given.problem(_no_provider(given.value, known["providers"]))


def _no_provider(name: str, known: Collection[str]) -> str:
    return f"there is no provider '{name}'{did_you_mean(name, known)}"


def _fields(entry: BaseModel, tree: Tree, section: str, name: str) -> Entry:
    return {
        key: Field(getattr(entry, key), tree, (section, name, key))
        for key in type(entry).model_fields
        if key in entry.model_fields_set and getattr(entry, key) is not None
    }


def _forbidden(file: _File, routes: Mapping[str, Any], models: Mapping[str, Any]) -> list[Problem]:
    """What a project's file may not say on a server."""
    found = []
    for section in ("providers", "models"):
        for name, entry in getattr(file.content, section).items():
            if section == "models" and name in models and entry.model_fields_set == {"weight"}:
                continue  # What evaluations propose, and a merge accepts.
            found.append(
                file.tree.problem(
                    (section, name),
                    f"{section[:-1]} '{name}' stands in the project's file, but on this server a project may only add "
                    "routes, restrict, and weigh models; prices, endpoints and keys are the server's",
                    key=True,
                )
            )
    for key in ("last_resort", "allow_unknown_price", "policy"):
        if getattr(file.content, key) is not None:
            found.append(file.tree.problem((key,), f"'{key}' is the server's to say, not the project's", key=True))
    for name, route in file.content.routes.items():
        if name in routes:
            found.append(
                file.tree.problem(
                    ("routes", name), f"route '{name}' is the server's; give yours another name", key=True
                )
            )
        if route.allow_unknown_price:
            found.append(
                file.tree.problem(
                    ("routes", name, "allow_unknown_price"),
                    "whether a model of unknown price is used is the server's to say, not the project's",
                    key=True,
                )
            )
    return found


def _join(joined: dict[str, Section], file: _File) -> None:
    for section, entries in joined.items():
        for name, entry in getattr(file.content, section).items():
            fields = _fields(entry, file.tree, section, name)
            before = entries.get(name, {})
            if section == "models" and "provider" in fields and "provider" in before:
                # At another provider nothing that was said of it need hold.
                before = {} if fields["provider"].value != before["provider"].value else before
            if section == "routes" and {"any", "candidates"} & set(fields):
                before = {key: found for key, found in before.items() if key not in ("any", "candidates")}
            entries[name] = {**before, **fields, "": Field(None, file.tree, (section, name))}


def _providers(section: Section, problems: list[Problem]) -> dict[str, ProviderSettings]:
    found = {}
    for name, entry in section.items():
        value = values_of(entry)
        kind = value.get("kind")
        if kind is None:
            problems.append(entry[""].problem(f"provider '{name}' needs a 'kind': offline, openai, ollama or litellm"))
            continue
        if kind == "openai" and "api_base" not in value:
            problems.append(entry[""].problem(f"provider '{name}' of kind openai needs an 'api_base'"))
        if kind == "litellm" and "litellm" not in value:
            problems.append(
                entry[""].problem(f"provider '{name}' of kind litellm needs 'litellm', its name of the provider")
            )
        found[name] = ProviderSettings(
            name=name,
            **{"region": LOCAL if kind == "offline" else "unknown", **value, "timeout": value.get("timeout", 120.0)},
        )
    return found


def _models(
    section: Section,
    providers: Mapping[str, ProviderSettings],
    known: Collection[str],
    prices: Prices,
    problems: list[Problem],
) -> dict[str, Model]:
    found = {}
    for name, entry in section.items():
        value = values_of(entry)
        provider = providers.get(value.get("provider", ""))
        if "provider" not in value:
            problems.append(
                entry[""].problem(f"model '{name}' needs a 'provider'{did_you_mean(name, set(section) - {name})}")
            )
        elif provider is None and value["provider"] not in known:
            problems.append(entry["provider"].problem(_no_provider(value["provider"], known)))
        if provider is None:
            continue
        wire = value.get("wire_model", name)
        found[name] = Model(
            name=name,
            provider=provider.name,
            kind=provider.kind,
            wire_model=wire,
            capabilities=frozenset(value.get("capabilities", ())),
            context=value.get("context"),
            max_output=value.get("max_output"),
            region=value.get("region", provider.region),
            quality=float(value.get("quality", 0.5)),
            price=_price(entry, value, provider, wire, prices),
            weight=float(value.get("weight", 1.0)),
            key=value.get("key", provider.key),
            api_base=value.get("api_base", provider.api_base),
            tags=frozenset(value.get("tags", ())),
            timeout=float(value.get("timeout", provider.timeout)),
            concurrency=value.get("concurrency", provider.concurrency),
            litellm=provider.litellm,
            metrics=provider.metrics,
        )
    return found


def _price(
    entry: Entry, value: Mapping[str, Any], provider: ProviderSettings, wire: str, prices: Prices
) -> Price | None:
    given = value.get("price", "free" if provider.kind in ("offline", "ollama") else "litellm")
    if given == "free":
        return FREE
    if isinstance(given, PriceEntry):
        input_, output, cached = (per_million(amount) for amount in per_million_usd(given))
        source = Path(entry["price"].tree.file).name
        return Price((Rate(input_, output, cached),), source, given.as_of or "")
    # Without litellm's name of the provider it is somebody's own endpoint, which does not cost what the name says.
    if provider.litellm is None and "price" not in value and "price_as" not in value:
        return None
    return prices.price(value.get("price_as", wire), provider=provider.litellm or "")


def _settings(found: Sequence[_File], known: Mapping[str, Collection[str]], problems: list[Problem]) -> dict[str, Any]:
    default: Field | None = None
    last: Field | None = None
    unknown = False
    policy: dict[str, Any] | None = None
    for file in found:
        if file.content.policy is not None:
            policy = {**(policy or {}), **file.content.policy.model_dump(exclude_none=True)}
        if file.content.default_route is not None:
            default = Field(file.content.default_route, file.tree, ("default_route",))
        if file.content.last_resort is not None:
            last = Field(file.content.last_resort, file.tree, ("last_resort",))
        if file.content.allow_unknown_price is not None:
            unknown = file.content.allow_unknown_price
    if default is None:
        where = Location(found[-1].tree.file if found else "models.yaml")
        problems.append(Problem(where, "there is no 'default_route'"))
    elif default.value not in known["routes"]:
        problems.append(
            default.problem(f"there is no route '{default.value}'{did_you_mean(default.value, known['routes'])}")
        )
    if last is not None and last.value and last.value not in known["models"]:
        problems.append(last.problem(no_model(last.value, known["models"], known["routes"])))
    return {
        "default_route": default.value if default else "",
        "last_resort": (last.value or None) if last else None,
        "allow_unknown_price": unknown,
        "policy": policy,
    }


def _restrictions(
    found: Sequence[_File], known: Mapping[str, Collection[str]], problems: list[Problem]
) -> tuple[Restriction, ...]:
    made = []
    for file in found:
        entry = file.content.restrict
        if entry is None:
            continue
        for key in ("models", "deny"):
            for place, model in enumerate(getattr(entry, key) or ()):
                if model not in known["models"]:
                    told = no_model(model, known["models"], known["routes"])
                    problems.append(file.tree.problem(("restrict", key, place), told))
        made.append(
            Restriction(
                source=file.tree.file,
                models=None if entry.models is None else frozenset(entry.models),
                deny=frozenset(entry.deny or ()),
                regions=frozenset(entry.regions or ()),
                max_nano=None if entry.max_usd is None else nanodollars(entry.max_usd, up=False),
            )
        )
    return tuple(made)


def _digest(catalogue: Catalogue) -> str:
    document = [
        catalogue.models,
        catalogue.routes,
        catalogue.providers,
        [dataclasses.replace(one, source=Path(one.source).name) for one in catalogue.restrictions],
        [catalogue.default_route, catalogue.last_resort, catalogue.allow_unknown_price, catalogue.policy],
    ]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=_plain)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
