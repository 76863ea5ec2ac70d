"""What Ollama says of its models, in numbers that can be compared; sizes are bytes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class PresentModel:
    """A model on Ollama's disk (``/api/tags``).

    Args:
        digest: sha256 of its manifest.
        parameters: as Ollama writes it, ``8.2B``.
        quantization: ``Q4_K_M``.
        remote: host that Ollama has it run at in place of this machine; empty: it is run here.
    """

    name: str
    size: int
    digest: str
    parameters: str = ""
    quantization: str = ""
    family: str = ""
    remote: str = ""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory (``/api/ps``).

    Args:
        size: in all memory; size_vram: of it in that of GPUs.
        context: tokens it was loaded for; 0: not said.
        expires: when Ollama unloads it by itself.
    """

    name: str
    size: int
    size_vram: int
    context: int = 0
    expires: datetime | None = None

    @property
    def offload(self) -> float:
        """Share of it that is in GPU memory, 0 to 1; below 1 it is slow, at 0 it runs on the CPU alone."""
        return min(1.0, self.size_vram / self.size) if self.size > 0 else 0.0


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model's need of memory follows from (``/api/show``).

    Args:
        parameters: number of them; 0: not said.
        context: longest it was made for, in tokens; 0: not said.
        layers: transformer blocks; kv_heads: of all layers together; head_size: of a key and a value together.
        default_context: ``num_ctx`` of its Modelfile; 0: Ollama's own.
        capabilities: ``completion``, ``tools``, ``thinking``, ``vision`` …
    """

    name: str
    parameters: int = 0
    quantization: str = ""
    architecture: str = ""
    context: int = 0
    layers: int = 0
    kv_heads: int = 0
    head_size: int = 0
    default_context: int = 0
    capabilities: frozenset[str] = frozenset()


def full_name(name: str) -> str:
    """``name`` with its tag; Ollama means ``latest`` when there is none."""
    last = name.rsplit("/", 1)[-1]
    return name if ":" in last else f"{name}:latest"


def is_of_the_cloud(name: str) -> bool:
    """Whether Ollama's own service runs a model of this name (``gpt-oss:120b-cloud``, ``kimi-k2:cloud``)."""
    return full_name(name).lower().endswith(("-cloud", ":cloud"))


def same_name(one: str, other: str) -> bool:
    """Whether both name one model; Ollama does not look at case."""
    return full_name(one).lower() == full_name(other).lower()


def nearest(name: str, present: Iterable[str]) -> tuple[str, ...]:
    """Up to three present names that may have been meant: of the same model first, then such as are written alike."""
    names = sorted(set(present))
    family = name.rsplit("/", 1)[-1].partition(":")[0].lower()
    related = [one for one in names if one.rsplit("/", 1)[-1].partition(":")[0].lower() == family]
    alike = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return tuple(dict.fromkeys((*related, *alike)))[:3]


def facts_of(name: str, shown: Mapping[str, Any]) -> ModelFacts:
    """The facts in an answer of ``/api/show``; what it leaves out or gets wrong is 0."""
    info = shown.get("model_info") or {}
    details = shown.get("details") or {}
    architecture = str(info.get("general.architecture") or "")

    def told(key: str) -> Any:
        return info.get(f"{architecture}.{key}")

    layers, heads = _count(told("block_count")), _count(told("attention.head_count"))
    per_head = _count(told("embedding_length")) // heads if heads else 0
    key = _count(told("attention.key_length")) or per_head
    value = _count(told("attention.value_length")) or per_head
    return ModelFacts(
        name=name,
        parameters=_count(info.get("general.parameter_count")) or _written(details.get("parameter_size")),
        quantization=str(details.get("quantization_level") or ""),
        architecture=architecture,
        context=_count(told("context_length")),
        layers=layers,
        kv_heads=_heads(told("attention.head_count_kv"), layers) or heads * layers,
        head_size=key + value,
        default_context=_parameter(str(shown.get("parameters") or ""), "num_ctx"),
        capabilities=frozenset(str(one) for one in shown.get("capabilities") or ()),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _heads(value: object, layers: int) -> int:
    """Key-value heads of all layers: one number for every layer, or one for each."""
    if isinstance(value, list):
        return sum(_count(one) for one in value)
    return _count(value) * layers


def _written(text: object) -> int:
    """``8.2B``, ``596.05M`` as a number."""
    units = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
    if not isinstance(text, str) or not text or text[-1].upper() not in units:
        return 0
    try:
        number = float(text[:-1]) * units[text[-1].upper()]
    except ValueError:
        return 0
    return int(number) if 0 < number < 10**15 else 0


def _parameter(parameters: str, name: str) -> int:
    for line in parameters.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name and words[1].isdecimal():
            return int(words[1])
    return 0
