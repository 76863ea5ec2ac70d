"""How much memory a model needs: an estimate from what ``/api/show`` says, on the side of too much."""

from __future__ import annotations

from dataclasses import dataclass

from maestro.llm.ollama.facts import ModelFacts

DEFAULT_CONTEXT = 4096
"""Tokens Ollama loads a model for when nobody says more."""
GRAPH = 256 * 1024 * 1024
"""Bytes for what is computed while it answers, beside a tenth of its weights."""
_KV_BYTES = 2
"""Of one number in the cache of keys and values: f16, Ollama's default."""
_UNKNOWN_BITS = 16.0
_BITS = {
    # Bits per weight, block scales included, as llama.cpp's `quantize` prints them for an 8B model.
    "F32": 32.0,
    "F16": 16.0,
    "BF16": 16.0,
    "Q8_0": 8.5,
    "Q6_K": 6.6,
    "Q5_1": 6.0,
    "Q5_K_M": 5.7,
    "Q5_K_S": 5.6,
    "Q5_0": 5.6,
    "Q4_1": 5.1,
    "Q4_K_M": 4.9,
    "Q4_K_S": 4.7,
    "Q4_0": 4.7,
    "IQ4_NL": 4.7,
    "IQ4_XS": 4.5,
    "MXFP4": 4.3,
    "Q3_K_L": 4.3,
    "Q3_K_M": 4.0,
    "Q3_K_S": 3.7,
    "IQ3_S": 3.5,
    "Q2_K": 3.2,
    "IQ2_XS": 2.6,
}


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of memory a model needs when it is loaded for ``context`` tokens."""

    model: str
    context: int
    weights: int
    cache: int
    graph: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.graph


def need_of(facts: ModelFacts, *, size: int = 0, context: int = 0) -> Need:
    """The need of one model.

    Args:
        size: of its files, from ``/api/tags``; 0: weights are reckoned from their number and the quantization.
        context: tokens it is to be loaded for; 0: what its Modelfile or Ollama says. Never more than it was made for.
    """
    tokens = context or facts.default_context or DEFAULT_CONTEXT
    if facts.context:
        tokens = min(tokens, facts.context)
    bits = _BITS.get(facts.quantization.upper(), _UNKNOWN_BITS)
    weights = size or int(facts.parameters * bits / 8)
    cache = facts.kv_heads * facts.head_size * _KV_BYTES * tokens
    return Need(facts.name, tokens, weights, cache, GRAPH + weights // 10)


def shown(size: int) -> str:
    """``size`` for people: ``6.1 GiB``, ``640 MiB``."""
    gib = size / 1024**3
    return f"{gib:.1f} GiB" if gib >= 1 else f"{max(0, size) / 1024**2:.0f} MiB"
