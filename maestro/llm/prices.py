"""What tokens cost, in nanodollars: from litellm's price map (read, not imported), from the catalogue, or free."""

from __future__ import annotations

import functools
import importlib.util
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

from maestro.ledger.model import NANO
from maestro.llm.model import Usage

MILLION = 1_000_000
_MAP = "model_prices_and_context_window_backup.json"


@dataclass(frozen=True, slots=True)
class Rate:
    """Prices per million tokens, in nanodollars.

    Args:
        over: holds for requests of more input tokens than this.
        cached: of input the provider had in its cache.
    """

    input: int
    output: int
    cached: int
    over: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs; frozen with the decision, so that a change in the middle of a run changes nothing.

    Args:
        rates: at least one; the first is for requests of any size, further ones for long ones, in rising order.
        source: ``litellm 1.101.6``, ``models.yaml``, ``free``.
        as_of: since when, where it is known.
    """

    rates: tuple[Rate, ...]
    source: str
    as_of: str = ""

    @property
    def free(self) -> bool:
        """Whether nothing is ever charged."""
        return all(rate.input == rate.output == rate.cached == 0 for rate in self.rates)

    def rate(self, input_tokens: int) -> Rate:
        """The prices of a request of so many input tokens."""
        found = self.rates[0]
        for rate in self.rates[1:]:
            if input_tokens > rate.over:
                found = rate
        return found


FREE = Price((Rate(0, 0, 0),), "free")


def worst(price: Price, input_tokens: int, max_output: int) -> int:
    """The most a request can cost, in nanodollars, rounded up: no token cached, the whole answer used.

    Of all prices up to this size the dearest counts, since ``input_tokens`` is the most there may be.
    """
    dearest = 0
    for rate in price.rates:
        if input_tokens >= rate.over:
            dearest = max(dearest, input_tokens * max(rate.input, rate.cached) + max_output * rate.output)
    return -(-dearest // MILLION)


def cost(price: Price, usage: Usage) -> int:
    """What a request has cost, in nanodollars, rounded up; never less than the provider charges by its price list."""
    rate = price.rate(usage.input_tokens)
    cached = min(usage.cached_tokens, usage.input_tokens)
    exact = (usage.input_tokens - cached) * rate.input + cached * rate.cached + usage.output_tokens * rate.output
    return -(-exact // MILLION)


def per_million(usd: Decimal | float | str) -> int:
    """Dollars per million tokens as nanodollars per million tokens, rounded up."""
    return int((Decimal(str(usd)) * NANO).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Prices:
    """A price map in litellm's format.

    Args:
        path: the map; None: that of the installed litellm, and no prices where it is not installed.
    """

    path: Path | None = field(default=None)

    def price(self, name: str, *, provider: str = "") -> Price | None:
        """The price of litellm's model ``name`` (``gpt-4o-mini``; with ``provider``: also ``mistral/name``).

        None: the map has none, or says zero, which there stands for experiments and unknown prices alike.
        """
        found = self.facts(name, provider=provider)
        return None if found is None else _price(found, self.source)

    def facts(self, name: str, *, provider: str = "") -> Mapping[str, Any] | None:
        """What the map says of a model: ``max_input_tokens``, ``max_output_tokens``, ``deprecation_date`` …"""
        known = self._known()
        for one in (f"{provider}/{name}" if provider else name, name):
            found = known.get(one)
            if isinstance(found, dict) and (not provider or found.get("litellm_provider") in (provider, None)):
                return found
        return None

    @property
    def source(self) -> str:
        """What the prices are from, for people."""
        return "the price map" if self.path else f"litellm {_litellm_version()}".strip()

    def _known(self) -> Mapping[str, Any]:
        path = self.path or bundled_map()
        try:
            return {} if path is None else _read(str(path), path.stat().st_mtime_ns)
        except OSError:
            return {}


def bundled_map() -> Path | None:
    """Where the installed litellm has its price map; None without litellm. Imports nothing: that takes seconds."""
    folder = litellm_folder()
    path = folder / _MAP if folder else None
    return path if path is not None and path.is_file() else None


@functools.cache
def litellm_folder() -> Path | None:
    """Where litellm is installed; None: it is not."""
    try:
        spec = importlib.util.find_spec("litellm")
    except (ImportError, ValueError):
        return None
    return None if spec is None or not spec.origin else Path(spec.origin).parent


@functools.lru_cache(maxsize=4)
def _read(path: str, _changed: int) -> Mapping[str, Any]:
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@functools.cache
def _litellm_version() -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version("litellm")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _price(facts: Mapping[str, Any], source: str) -> Price | None:
    first = _rate(facts, "", 0, None)
    if first is None or (first.input == 0 and first.output == 0):
        return None
    rates = [first]
    for over in sorted({size for key in facts if (size := _tier(key))}):
        tier = _rate(facts, f"_above_{over // 1000}k_tokens", over, rates[-1])
        if tier is not None:
            rates.append(tier)
    return Price(tuple(rates), source)


def _tier(key: str) -> int:
    """200000 of ``input_cost_per_token_above_200k_tokens``; 0 of every other key."""
    head, found, tail = key.partition("_above_")
    size = tail.removesuffix("k_tokens")
    wanted = head in ("input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost")
    return int(size) * 1000 if found and wanted and size.isdigit() else 0


def _rate(facts: Mapping[str, Any], suffix: str, over: int, before: Rate | None) -> Rate | None:
    def of(key: str, otherwise: int | None) -> int | None:
        value = facts.get(f"{key}{suffix}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return otherwise
        return per_million(Decimal(str(value)) * MILLION) if math.isfinite(value) and value >= 0 else None

    input_ = of("input_cost_per_token", before.input if before else None)
    output = of("output_cost_per_token", before.output if before else None)
    if input_ is None or output is None:
        return None
    if not suffix:
        # Where thinking is charged apart, a token of the answer may be either.
        output = max(output, of("output_cost_per_reasoning_token", output) or output)
    cached = of("cache_read_input_token_cost", before.cached if before and before.cached != before.input else input_)
    return Rate(input_, output, min(input_, cached if cached is not None else input_), over)
