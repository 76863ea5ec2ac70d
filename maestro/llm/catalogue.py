"""The catalogue: which models there are, what they can do and cost, and the routes that choose between them.

It is made from the models Maestro knows (``builtin.yaml``), and ``models.yaml`` of the server and of the project.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from maestro.llm.prices import Price, Prices

ProviderKind = Literal["offline", "openai", "ollama", "litellm"]
Objective = Literal["cost", "latency", "quality", "pinned"]
LOCAL = "local"
"""The region of a model that data do not leave the own network for; every limit on regions lets it through."""
BUILTIN = Path(__file__).with_name("builtin.yaml")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """An endpoint that serves models.

    Args:
        kind: who speaks to it; ``openai``: any endpoint of OpenAI's format.
        litellm: litellm's name of the provider, for kind ``litellm``.
        key: reference to its key (``env:NAME``, ``file:/path``); None: it needs none.
        metrics: URL of the server's metrics, for its queue depth.
        region: where it processes data; ``local``: on the own machines.
        concurrency: calls at once; None: no limit of ours.
    """

    name: str
    kind: ProviderKind
    litellm: str | None = None
    key: str | None = None
    api_base: str | None = None
    metrics: str | None = None
    region: str = "unknown"
    timeout: float = 120.0
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model at a provider; what it does not say itself is its provider's.

    Args:
        wire_model: as the provider names it.
        context: tokens of input and output together; None: unknown, nothing is refused because of it.
        max_output: most tokens of an answer; more are not asked for.
        region: where data are processed; ``local``, ``unknown``.
        quality: 0 to 1, what is said of it in the catalogue.
        price: None: unknown.
        weight: factor on its score; evals propose it.
        local: data do not leave the own network.
        timeout: seconds for one call; concurrency: calls at once.
        litellm: name of litellm's provider, for kind ``litellm``.
    """

    name: str
    provider: str
    kind: ProviderKind
    wire_model: str
    capabilities: frozenset[str] = frozenset()
    context: int | None = None
    max_output: int | None = None
    region: str = "unknown"
    quality: float = 0.5
    price: Price | None = None
    weight: float = 1.0
    key: str | None = None
    api_base: str | None = None
    tags: frozenset[str] = frozenset()
    timeout: float = 120.0
    concurrency: int | None = None
    litellm: str | None = None
    metrics: str | None = None

    @property
    def local(self) -> bool:
        """Whether data stay on the own machines."""
        return self.region == LOCAL

    @property
    def offline(self) -> bool:
        """Whether it is the offline provider, which is no model."""
        return self.kind == "offline"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route does under a condition; every part of it that is given must hold.

    Args:
        input_tokens_over, input_tokens_under: of the likely count.
        needs: capabilities of which the request asks for at least one.
        tenants, projects: names, ``*`` stands for any part (``acme/*``).
        prompts: names of prompts.
        branches: patterns of the branch; of several the last that matches counts, ``!`` before one takes out again. A
            request of an unknown branch is under what the rule takes away, and under nothing else of it.
        personal: whether the request has marked personal data; pull_request: whether it is one's.
        prefer: models that come first, in this order; deny: models that are not used; only: no others are used.
        min_quality: a floor in place of the route's; regions: further limit.
        because: words for the verdict.
    """

    input_tokens_over: int | None = None
    input_tokens_under: int | None = None
    needs: frozenset[str] = frozenset()
    tenants: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    personal: bool | None = None
    pull_request: bool | None = None
    prefer: tuple[str, ...] = ()
    deny: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    min_quality: float | None = None
    regions: frozenset[str] = frozenset()
    because: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A named choice between models.

    Args:
        candidates: names of models, in the order of the file; filters are resolved.
        objective: the order: least ``cost``, least ``latency``, best ``quality``, or ``pinned``, as written.
        min_quality: candidates below are passed over.
        downshift: what comes first when a budget is used by 80 %; may be below the floor. Empty: the cheapest.
        regions: where data may go; empty: anywhere.
        max_nano: most one request may cost.
    """

    name: str
    candidates: tuple[str, ...]
    objective: Objective = "quality"
    min_quality: float = 0.0
    rules: tuple[Rule, ...] = ()
    downshift: tuple[str, ...] = ()
    regions: frozenset[str] = frozenset()
    max_nano: int | None = None
    allow_unknown_price: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Restriction:
    """What a file takes away from everything; several add up.

    Args:
        source: the file.
        models: only these; None: no such limit. deny: not these.
        regions: data go to these only; empty: anywhere. max_nano: most one request may cost.
    """

    source: str
    models: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    max_nano: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """All of it, as it is in effect.

    Args:
        default_route: name of the route a request without a target takes.
        last_resort: model that answers when nothing of what was asked for is set up (no key, not running); None: none.
        policy: settings of the policy package ``models``; None: it is not asked.
        digest: ``sha256:…`` over everything in here, prices too.
        files: what it was read from.
        prepared: what deciding has worked out about it; filled as it is used.
    """

    models: Mapping[str, Model]
    routes: Mapping[str, Route]
    providers: Mapping[str, ProviderSettings]
    default_route: str
    last_resort: str | None = None
    restrictions: tuple[Restriction, ...] = ()
    allow_unknown_price: bool = False
    policy: Mapping[str, Any] | None = None
    digest: str = ""
    files: tuple[str, ...] = ()
    prepared: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Every capability a model has, sorted."""
        return tuple(sorted({one for model in self.models.values() for one in model.capabilities}))

    @property
    def keys(self) -> tuple[str, ...]:
        """Every reference to a key, sorted: what must be looked up to know what can be used."""
        return tuple(sorted({model.key for model in self.models.values() if model.key}))

    def nearest(self, name: str) -> tuple[str, ...]:
        """Up to three known names most like ``name``, each with its kind: ``model gpt-4o-mini``."""
        return nearest(name, {"model": self.models, "route": self.routes, "capability": self.capabilities})


def nearest(name: str, kinds: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Up to three names most like ``name``, with what they are."""
    known: dict[str, str] = {}
    for kind, names in kinds.items():
        for one in names:
            known.setdefault(one, kind)
    lowered = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.55)
    return tuple(f"{known[lowered[one]]} {lowered[one]}" for one in close)


@dataclass(frozen=True, slots=True)
class Given:
    """A catalogue file that was read already.

    Args:
        name: what it is called in messages and restrictions.
    """

    name: str
    content: bytes


def load_catalogue(
    files: Sequence[Path | Given] = (),
    *,
    builtin: bool = True,
    server: Path | Given | None = None,
    prices: Prices | None = None,
) -> Catalogue:
    """The catalogue of these files; later ones change earlier ones, entry by entry and field by field.

    Args:
        files: the project's ``models.yaml``; a file that does not exist is passed over.
        builtin: begin with the models Maestro knows.
        server: the server's ``models.yaml``. With it, ``files`` may only add routes and restrict.
        prices: where prices of source ``litellm`` are; None: the map of the installed litellm.

    Raises:
        CatalogueErrors: a file is wrong; carries every problem, each with file, line and column.
        InputError: a file cannot be read.
    """
    from maestro.llm.catalogue_building import build

    return build(files, builtin=BUILTIN if builtin else None, server=server, prices=prices or Prices())
