"""What may stand in a ``models.yaml``: the models behind its checks and behind the JSON Schema for editors."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$"
_WORD = r"^[a-z][a-z0-9_-]{0,63}$"
Name = Annotated[str, Field(pattern=_NAME, description="A name: letters, digits and . _ : / @ + -")]
Word = Annotated[str, Field(pattern=_WORD, description="A word: lower case letters, digits, _ and -")]
Key = Annotated[
    str,
    Field(
        pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]{0,127}|file:/.{1,500})$",
        description="Where the key is, never the key itself: env:NAME or file:/path.",
    ),
]
Url = Annotated[
    str,
    Field(
        pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$",
        max_length=500,
        description="http:// or https://, without a user.",
    ),
]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Usd = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Entry(BaseModel):
    """Base: frozen, unknown keys refused, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class ProviderEntry(Entry):
    """An endpoint that serves models."""

    kind: Literal["offline", "openai", "ollama", "litellm"] | None = Field(
        None, description="Who speaks to it; openai is any endpoint that speaks OpenAI's format."
    )
    litellm: Word | None = Field(
        None, description="litellm's name of the provider, for its prices and for kind litellm."
    )
    key: Key | None = Field(None, description="Where its key is: env:NAME or file:/path. Never the key itself.")
    api_base: Url | None = Field(None, description="URL of the endpoint.")
    metrics: Url | None = Field(None, description="URL of the server's metrics, for its queue depth.")
    region: Word | None = Field(None, description="Where it processes data (eu, us …); local: on the own machines.")
    timeout: Annotated[float, Field(gt=0, le=3600)] | None = Field(None, description="Seconds one call may take.")
    concurrency: Annotated[int, Field(gt=0, le=10_000)] | None = Field(None, description="Calls at once.")


class PriceEntry(Entry):
    """A price of one's own, in United States dollars per million tokens."""

    input: Usd = Field(description="Dollars per million tokens of input.")
    output: Usd = Field(description="Dollars per million tokens of the answer.")
    cached_input: Usd | None = Field(None, description="Dollars per million tokens of input the provider had cached.")
    as_of: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = Field(
        None, description="Since when: YYYY-MM-DD."
    )


def _kind_of_price(value: Any) -> str:
    return "numbers" if isinstance(value, dict | PriceEntry) else "word"


PriceField = Annotated[
    Annotated[Literal["litellm", "free"], Tag("word")] | Annotated[PriceEntry, Tag("numbers")],
    Discriminator(_kind_of_price),
]


class ModelEntry(Entry):
    """A model at a provider."""

    provider: Word | None = Field(None, description="Which provider serves it.")
    wire_model: Name | None = Field(None, description="As the provider names it; else its name here.")
    capabilities: list[Word] | None = Field(
        None, max_length=50, description="What it can do: chat, code, json, tools …"
    )
    context: Count | None = Field(None, description="Tokens of input and answer together.")
    max_output: Count | None = Field(None, description="Most tokens of an answer.")
    region: Word | None = Field(None, description="Where it processes data; else as its provider.")
    quality: Fraction | None = Field(None, description="How good it is, 0 to 1.")
    price: PriceField | None = Field(None, description="litellm: from litellm's price map; free; or numbers.")
    price_as: Name | None = Field(None, description="Its name in litellm's price map, where it is another.")
    weight: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = Field(
        None, description="Factor on its score; evals propose it."
    )
    key: Key | None = Field(None, description="Where its key is, if it is not the provider's.")
    api_base: Url | None = Field(None, description="URL of its endpoint, if it is not the provider's.")
    tags: list[Word] | None = Field(None, max_length=50, description="Words of your own, for `any` in routes.")
    timeout: Annotated[float, Field(gt=0, le=3600)] | None = Field(None, description="Seconds one call may take.")
    concurrency: Annotated[int, Field(gt=0, le=10_000)] | None = Field(None, description="Calls at once.")


Branches = list[Annotated[str, Field(pattern=r"^!?[^!].{0,254}$")]]


class ConditionEntry(Entry):
    """When a rule holds: all that is given must."""

    input_tokens_over: Count | None = Field(None, description="More tokens of input than this.")
    input_tokens_under: Count | None = Field(None, description="Fewer tokens of input than this.")
    needs: list[Word] | None = Field(None, min_length=1, description="The request asks for one of these capabilities.")
    tenants: list[str] | None = Field(None, min_length=1, description="Names of tenants; * stands for any part.")
    projects: list[str] | None = Field(None, min_length=1, description="tenant/project; * stands for any part.")
    prompts: list[str] | None = Field(None, min_length=1, description="Names of prompts; * stands for any part.")
    branches: Branches | None = Field(
        None,
        min_length=1,
        description="Names of branches; * stands for any part, ! before one takes it out again. Where the branch is "
        "not known, what the rule takes away holds, and nothing else of it.",
    )
    personal: bool | None = Field(None, description="Whether the request has marked personal data.")
    pull_request: bool | None = Field(None, description="Whether it is for a pull request.")


class RuleEntry(Entry):
    """What a route does under a condition."""

    when: ConditionEntry = Field(description="All that is given must hold.")
    prefer: list[Name] | None = Field(None, min_length=1, description="Models that come first, in this order.")
    deny: list[Name] | None = Field(None, min_length=1, description="Models that are not used.")
    only: list[Name] | None = Field(None, min_length=1, description="No other models are used.")
    min_quality: Fraction | None = Field(None, description="A quality floor in place of the route's.")
    regions: list[Word] | None = Field(None, min_length=1, description="Data may go to these regions only.")
    because: Annotated[str, Field(max_length=300)] | None = Field(None, description="Why, for `maestro llm why`.")


class AnyEntry(Entry):
    """Every model of the catalogue that has all of this."""

    capabilities: list[Word] | None = Field(None, description="Has all of these.")
    providers: list[Word] | None = Field(None, min_length=1, description="Is at one of these.")
    regions: list[Word] | None = Field(None, min_length=1, description="Is in one of these.")
    tags: list[Word] | None = Field(None, description="Has all of these.")
    min_quality: Fraction | None = Field(None, description="Is at least so good.")


class RouteEntry(Entry):
    """A named choice between models."""

    description: Annotated[str, Field(max_length=500)] | None = Field(None, description="What it is for.")
    candidates: list[Name] | None = Field(None, min_length=1, max_length=100, description="Names of models, in order.")
    any: AnyEntry | None = Field(None, description="In place of candidates: every model that has all of this.")
    objective: Literal["cost", "latency", "quality", "pinned"] | None = Field(
        None, description="What the order goes by; pinned: as written. Default: quality."
    )
    min_quality: Fraction | None = Field(None, description="Candidates below are passed over.")
    rules: list[RuleEntry] | None = Field(None, max_length=50, description="What changes under which condition.")
    downshift: list[Name] | None = Field(
        None, description="What comes first when a budget is used by 80 %; may be below the floor."
    )
    regions: list[Word] | None = Field(None, min_length=1, description="Data may go to these regions only.")
    max_usd: Usd | None = Field(None, description="Most one request may cost.")
    allow_unknown_price: bool | None = Field(None, description="Use models whose price nobody knows.")


class RestrictEntry(Entry):
    """What this file takes away from every route and model."""

    models: list[Name] | None = Field(None, min_length=1, description="Only these models are used.")
    deny: list[Name] | None = Field(None, min_length=1, description="These models are not used.")
    regions: list[Word] | None = Field(None, min_length=1, description="Data may go to these regions only.")
    max_usd: Usd | None = Field(None, description="Most one request may cost.")


Patterns = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=100)]


class PolicyEntry(Entry):
    """Settings of the policy package ``models``; that they are given, if empty, lets it be asked."""

    allowed: Patterns | None = Field(None, description="Patterns of models that may be used; default: all.")
    denied: Patterns | None = Field(None, description="Patterns of models that may not.")
    providers: Patterns | None = Field(None, description="Patterns of providers that may be used; default: all.")
    regions: list[Word] | None = Field(None, description="Where data may go; default: anywhere.")
    personal_regions: list[Word] | None = Field(None, description="Where personal data may go; default: as other data.")
    max_usd: Usd | None = Field(None, description="Most one request may cost.")
    overriders: Patterns | None = Field(None, description="Patterns of who may override; default: anybody.")


class ModelsFile(Entry):
    """A ``models.yaml``."""

    providers: dict[Word, ProviderEntry] = Field({}, max_length=100, description="Endpoints that serve models.")
    models: dict[Name, ModelEntry] = Field({}, max_length=1000, description="Models, by name.")
    routes: dict[Word, RouteEntry] = Field({}, max_length=200, description="Named choices between models.")
    restrict: RestrictEntry | None = Field(None, description="What is taken away from every route and model.")
    policy: PolicyEntry | None = Field(None, description="Ask the policy package models, with these settings.")
    default_route: Word | None = Field(None, description="The route of a request that names none.")
    last_resort: Name | Literal[False] | None = Field(
        None, description="The model that answers when nothing that was asked for is set up; false: none."
    )
    allow_unknown_price: bool | None = Field(None, description="Use models whose price nobody knows, in every route.")


SECTIONS: dict[str, type[Entry]] = {"providers": ProviderEntry, "models": ModelEntry, "routes": RouteEntry}


def per_million_usd(price: PriceEntry) -> tuple[Decimal, Decimal, Decimal]:
    """Input, output and cached input in dollars per million tokens."""
    input_, output = Decimal(str(price.input)), Decimal(str(price.output))
    return input_, output, input_ if price.cached_input is None else Decimal(str(price.cached_input))
