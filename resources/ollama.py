"""Ollama as a Dagster resource: its models, what is loaded, and fetching and choosing models."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import dagster as dg
from pydantic import Field

from maestro.llm.ollama.client import OllamaClient
from maestro.llm.ollama.desk import Health, OllamaDesk
from maestro.llm.ollama.facts import LoadedModel, PresentModel
from maestro.llm.ollama.fit import Choice
from maestro.llm.ollama.pull import Progress

OLLAMA = "ollama"

_Found = TypeVar("_Found")


class OllamaResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no use here
    """An Ollama server; every method asks it anew, and raises ProviderError when it does not answer."""

    host: str | None = Field(None, description="Where it is, as OLLAMA_HOST is written; OLLAMA_HOST when not given.")
    pulls: bool = Field(False, description="Whether a model that is missing may be fetched.")

    def health(self) -> Health:
        """How it is: whether it runs, its models, what is loaded, the memory of its machine. Raises nothing of it."""
        return self._at_desk(lambda desk: desk.health())

    def running(self) -> str | None:
        """Its version; None: it does not run."""
        return self._at_desk(lambda desk: desk.client.running())

    def present(self) -> tuple[PresentModel, ...]:
        """The models on its disk."""
        return self._at_desk(lambda desk: desk.client.present())

    def loaded(self) -> tuple[LoadedModel, ...]:
        """The models in memory, with the share of each that is on GPUs."""
        return self._at_desk(lambda desk: desk.client.loaded())

    def ensure(
        self,
        model: str,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> PresentModel:
        """The model, fetched if it is missing and ``pulls`` says so.

        Raises:
            ProviderError: it is missing and may not be fetched, or cannot be.
            asyncio.CancelledError: ``cancelled`` was set; what has come is kept.
        """
        return self._at_desk(lambda desk: desk.ensure(model, on_progress=on_progress, cancelled=cancelled))

    def pull(
        self,
        model: str,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> PresentModel:
        """Fetches the model, or brings it up to date, whatever ``pulls`` says: whoever calls this wants it.

        Raises:
            ProviderError: it cannot be fetched.
            asyncio.CancelledError: ``cancelled`` was set; what has come is kept.
        """
        return self._at_desk(lambda desk: desk.pull(model, on_progress=on_progress, cancelled=cancelled))

    def choose(self, models: Sequence[str], *, context: int = 0) -> Choice:
        """Which of ``models``, in order of preference, this machine runs best.

        Args:
            context: tokens of input and answer; 0: Ollama's default.
        """
        return self._at_desk(lambda desk: desk.choose(models, context))

    def make_room(self, model: str, *, context: int = 0) -> None:
        """Sees to it that the model can be loaded; others leave memory when it does not hold both.

        Raises:
            ProviderError: it does not go in at all, or is not present.
        """
        self._at_desk(lambda desk: desk.make_room(model, context))

    def _at_desk(self, act: Callable[[OllamaDesk], Awaitable[_Found]]) -> _Found:
        async def acting() -> _Found:
            client = OllamaClient(self.host or os.environ.get("OLLAMA_HOST"))
            desk = OllamaDesk(client, pulls=self.pulls)
            try:
                return await act(desk)
            finally:
                await desk.close()

        return asyncio.run(acting())
