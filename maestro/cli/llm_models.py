"""``maestro llm models``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable

if TYPE_CHECKING:
    from maestro.llm.catalogue import Catalogue, Model, Route
    from maestro.llm.keyring import Keyring


@example_command(
    "models",
    example="""maestro llm models
maestro llm models gpt-4o-mini
maestro llm models --json""",
)
@click.argument("name", required=False)
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, name: str | None, server_home: Path | None, as_json: bool) -> int:
    """List the models and routes of the catalogue, with their prices.

    NAME is a model, a route or a capability; only what it stands for is shown.
    """
    from maestro.cli.llm_source import catalogue_of
    from maestro.cli.money_source import place_of
    from maestro.llm.keyring import Keyring
    from maestro.llm.targets import group_of

    place = place_of(options, server_home)
    catalogue = catalogue_of(place)
    chosen = [*catalogue.models] if name is None else [one.name for one in group_of(catalogue, name).candidates]
    keyring = Keyring(catalogue.keys, place.environ, place.home)
    keys = keyring.present
    terminal = Terminal(options)
    routes = [one for one in catalogue.routes.values() if name is None or one.name == name]
    if as_json:
        terminal.json(
            {
                "models": [_model_json(catalogue.models[one], keys) for one in chosen],
                "routes": [_route_json(one) for one in routes],
                "default_route": catalogue.default_route,
                "capabilities": list(catalogue.capabilities),
                "digest": catalogue.digest,
                "files": list(catalogue.files),
            }
        )
        return 0
    _show_models(terminal, catalogue, chosen, keyring)
    if routes:
        terminal.line()
        heads = ("ROUTE", "OBJECTIVE", "CANDIDATES, IN THE FILE'S ORDER")
        rows = [(_route_name(catalogue, one), one.objective, ", ".join(one.candidates)) for one in routes]
        for line in terminal.table(heads, rows):
            terminal.line(line)
    return 0


def _show_models(terminal: Terminal, catalogue: Catalogue, chosen: list[str], keys: Keyring) -> None:
    heads = ("MODEL", "PROVIDER", "REGION", "QUALITY", "CONTEXT", "$/M IN", "$/M OUT", "KEY")
    rows = []
    for model in (catalogue.models[one] for one in chosen):
        given, answered = _prices(model)
        context = f"{model.context:,}" if model.context else "-"
        shown = (
            model.name,
            model.provider,
            model.region,
            f"{model.quality:.2f}",
            context,
            given,
            answered,
            _key(model, keys),
        )
        rows.append(tuple(printable(one) for one in shown))
    for line in terminal.table(heads, rows):
        terminal.line(line)


def _prices(model: Model) -> tuple[str, str]:
    from maestro.ledger.model import dollars

    if model.price is None:
        return "unknown", "unknown"
    if model.price.free:
        return "free", "free"
    rate = model.price.rates[0]
    return f"{dollars(rate.input):.4g}", f"{dollars(rate.output):.4g}"


def _key(model: Model, keys: Keyring) -> str:
    if model.key is None:
        return "none needed"
    if model.key in keys.present:
        return "there"
    return f"{'unusable' if model.key in keys.unusable else 'missing'}: {model.key}"


def _route_name(catalogue: Catalogue, route: Route) -> str:
    return f"{route.name} (default)" if route.name == catalogue.default_route else route.name


def _model_json(model: Model, keys: frozenset[str]) -> dict[str, Any]:
    from maestro.ledger.model import dollars

    price = model.price
    return {
        "name": model.name,
        "provider": model.provider,
        "wire_model": model.wire_model,
        "capabilities": sorted(model.capabilities),
        "context": model.context,
        "max_output": model.max_output,
        "region": model.region,
        "quality": model.quality,
        "key": model.key,
        "key_present": model.key is None or model.key in keys,
        "price": None
        if price is None
        else {
            "source": price.source,
            "as_of": price.as_of,
            "usd_per_million": [
                {
                    "over_input_tokens": one.over,
                    "input": str(dollars(one.input)),
                    "cached": str(dollars(one.cached)),
                    "output": str(dollars(one.output)),
                }
                for one in price.rates
            ],
        },
    }


def _route_json(route: Route) -> dict[str, Any]:
    return {
        "name": route.name,
        "description": route.description,
        "objective": route.objective,
        "candidates": list(route.candidates),
        "downshift": list(route.downshift),
        "min_quality": route.min_quality,
        "regions": sorted(route.regions),
    }
