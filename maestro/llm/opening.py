"""Opens the gateway of a project or of a server: catalogue, ledger, keys, providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from maestro.errors import InputError
from maestro.ledger.committer import PATIENCE
from maestro.ledger.model import Crossing
from maestro.ledger.place import ledger_url
from maestro.ledger.writer import AsyncLedger
from maestro.llm.catalogue import Catalogue, Model, load_catalogue
from maestro.llm.decisions import DecisionStore
from maestro.llm.gateway import Gateway
from maestro.llm.keyring import Keyring
from maestro.llm.model import Provider
from maestro.llm.redact import Redactor
from maestro.llm.situation import Sources
from maestro.llm.sources import sources_for
from maestro.secrets import Masker
from maestro.server.home import HOME_VARIABLE

if TYPE_CHECKING:
    from maestro.artifacts.store import ArtifactStore
    from maestro.policy.engine import PolicyEngine

MODELS_FILE = "models.yaml"


def open_gateway(
    *,
    home: Path,
    environ: Mapping[str, str],
    workspace: Path | None = None,
    store: ArtifactStore | None = None,
    masker: Masker | None = None,
    sources: Sources | None = None,
    on_event: Callable[[Crossing], object] | None = None,
    catalogue: Catalogue | None = None,
    pulls: bool = False,
    policies: Callable[[], PolicyEngine] | None = None,
    patience: float = PATIENCE,
) -> Gateway:
    """A gateway on the ledger of ``home``, or of the server ``MAESTRO_SERVER_HOME`` names.

    Args:
        home: the project's state folder.
        environ: where keys named ``env:…`` are looked for.
        workspace: the project's checkout, for its ``models.yaml``.
        store: keeps answers; None: none are kept.
        masker: knows secrets that must not leave, beside the keys.
        sources: what decisions are made from beside; None: Ollama, lanes and overrides, and no policy.
        pulls: whether a model Ollama lacks is fetched when it is asked.
        policies: opens what evaluates policies, where the catalogue has one; None: those Maestro ships, in process.
        catalogue: None: as ``models.yaml`` of the server and of the project say.
        patience: seconds a PostgreSQL that went away is waited for, once the gateway is open.

    Raises:
        InputError: a file, the server's settings or the database cannot be used.
    """
    url = ledger_url(home, environ)
    catalogue = catalogue or catalogue_for(workspace, environ)
    keyring = Keyring(catalogue.keys, environ, home)
    # What SQLite says is of this machine: callers hear of a full disk soon.
    ledger = AsyncLedger.open(url, patience=patience if url.startswith("postgresql") else PATIENCE)
    return Gateway(
        catalogue,
        ledger,
        DecisionStore(ledger.ledger.engine),
        lambda model: provider_of(model, pulls=pulls),
        keyring=keyring,
        redactor=Redactor(masker, keyring),
        store=store,
        sources=sources or sources_for(catalogue, ledger.ledger.engine, environ, pulls=pulls, policies=policies),
        on_event=on_event,
        on_close=ledger.close,
    )


def catalogue_for(workspace: Path | None, environ: Mapping[str, str]) -> Catalogue:
    """The catalogue in effect for a checkout; on a server the server's own ``models.yaml`` rules.

    Raises:
        InputError: a file is wrong.
    """
    files = () if workspace is None else (workspace / MODELS_FILE,)
    home = environ.get(HOME_VARIABLE)
    return load_catalogue(files, server=Path(home) / MODELS_FILE if home else None)


def provider_of(model: Model, *, pulls: bool = False) -> Provider:
    """Who answers for this model; the module is imported when it is needed first.

    Raises:
        InputError: there is nobody for this kind.
    """
    if model.kind == "openai":
        from maestro.llm.providers.openai_compatible import OpenAICompatible

        return OpenAICompatible(model.provider)
    if model.kind == "offline":
        from maestro.llm.providers.offline import OfflineProvider

        return OfflineProvider()
    if model.kind == "ollama":
        from maestro.llm.providers.ollama import OllamaProvider

        return OllamaProvider(model.provider, pulls=pulls)
    if model.kind == "litellm":
        from maestro.llm.providers.litellm_provider import LiteLLM

        return LiteLLM(model.litellm or model.provider, name=model.provider)
    raise InputError(f"nobody can speak to a provider of the kind '{model.kind}'")
