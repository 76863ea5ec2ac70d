"""Models that are asked for as Ollama names them and are in no ``models.yaml``: whoever runs Ollama has any model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from maestro.llm.catalogue import LOCAL, Catalogue, Model
from maestro.llm.ollama.facts import is_of_the_cloud
from maestro.llm.prices import FREE

_PROVIDER = "ollama"
_QUALITY = 0.1
"""Nobody has said anything of it; below every model of the catalogue that somebody has."""


def with_ollama_models(catalogue: Catalogue, names: Iterable[str]) -> Catalogue:
    """``catalogue`` with those of ``names`` that are not in it; nothing is added where it has no Ollama."""
    settings = catalogue.providers.get(_PROVIDER)
    new = sorted({name for name in names if name not in catalogue.models and name not in catalogue.routes})
    if settings is None or not new:
        return catalogue
    models = {
        name: Model(
            name=name,
            provider=_PROVIDER,
            kind="ollama",
            wire_model=name,
            capabilities=frozenset({"chat", "code", "summary"}),
            # What Ollama's own service runs leaves the machine, where to is not said, and is not free.
            region="unknown" if is_of_the_cloud(name) else settings.region or LOCAL,
            quality=_QUALITY,
            price=None if is_of_the_cloud(name) else FREE,
            key=settings.key,
            api_base=settings.api_base,
            timeout=settings.timeout,
            concurrency=settings.concurrency,
        )
        for name in new
    }
    digest = sha256("\n".join([catalogue.digest, *new]).encode()).hexdigest()
    return replace(catalogue, models={**catalogue.models, **models}, digest=f"sha256:{digest}", prepared={})
