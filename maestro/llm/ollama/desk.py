"""What is done with an Ollama: see how it is, make room for a model, have it fetched, choose between several."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.llm.model import ProviderError
from maestro.llm.ollama import trouble
from maestro.llm.ollama.client import OllamaClient
from maestro.llm.ollama.facts import LoadedModel, ModelFacts, PresentModel, same_name
from maestro.llm.ollama.fit import Choice, Fit, choose, fit
from maestro.llm.ollama.memory import Memory, memory_now
from maestro.llm.ollama.need import Need, need_of
from maestro.llm.ollama.pull import Progress, pull
from maestro.llm.state import OllamaState

FACTS_SECONDS = 300.0
"""What a model is, is asked again after so long."""
UNLOAD_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Health:
    """How an Ollama is.

    Args:
        version: None: it does not answer; ``trouble`` says why, and what to do.
        memory: of its machine; None: that is another one.
    """

    url: str
    version: str | None
    trouble: str = ""
    present: tuple[PresentModel, ...] = ()
    loaded: tuple[LoadedModel, ...] = ()
    memory: Memory | None = None


class OllamaDesk:
    """One Ollama and the machine it is on.

    Args:
        pulls: whether a model that is missing may be fetched; it takes gigabytes, so nobody does by default.
        memory: looks at the machine; None: as it is, for an Ollama on this machine.
        models_folder: where Ollama keeps models; None: found.
    """

    def __init__(
        self,
        client: OllamaClient,
        *,
        pulls: bool = False,
        memory: Callable[[], Memory] | None = None,
        models_folder: Path | None = None,
    ) -> None:
        self.client = client
        self.pulls = pulls
        self._look = memory or (memory_now if client.local else None)
        self._models_folder = models_folder
        self._facts: dict[str, tuple[float, ModelFacts]] = {}
        self._lock: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def health(self) -> Health:
        """How it is; raises nothing."""
        try:
            version = await self.client.version()
            present, loaded = await self.client.present(), await self.client.loaded()
        except ProviderError as error:
            return Health(self.client.url, None, str(error))
        return Health(self.client.url, version, "", present, loaded, await self._memory())

    async def state(self, models: Iterable[str] = ()) -> OllamaState:
        """What a decision wants to know; raises nothing.

        Args:
            models: those that may be chosen; whether they fit is reckoned for those that are present.
        """
        try:
            present, loaded = await self.client.present(), await self.client.loaded()
        except ProviderError:
            return OllamaState(running=False, pulls=self.pulls)
        memory = await self._memory()
        too_big: dict[str, str] = {}
        names = {one.name for one in present}
        elsewhere: dict[str, str] = {}
        for name in dict.fromkeys(models):
            found = next((one for one in present if same_name(one.name, name)), None)
            if found is None:
                continue
            # Whoever decides compares names as they are written in the catalogue.
            names.add(name)
            if found.remote:
                elsewhere[name] = found.remote
                continue
            try:
                need = need_of(await self.facts(name), size=found.size)
            except ProviderError:
                continue
            verdict = fit(need, memory, loaded)
            if not verdict.fits:
                too_big[name] = verdict.why
        return OllamaState(True, frozenset(names), too_big, self.pulls, elsewhere)

    async def facts(self, model: str) -> ModelFacts:
        """What a model is, remembered for some minutes.

        Raises:
            ProviderError: it is not present.
        """
        kept = self._facts.get(model)
        if kept is None or kept[0] < time.monotonic():
            kept = (time.monotonic() + FACTS_SECONDS, await self.client.show(model))
            self._facts[model] = kept
        return kept[1]

    async def need(self, model: str, context: int = 0) -> Need:
        """What a present model needs in memory, for ``context`` tokens; 0: as Ollama would load it.

        Raises:
            ProviderError: it is not present.
        """
        facts = await self.facts(model)
        size = next((one.size for one in await self.client.present() if same_name(one.name, model)), 0)
        return need_of(facts, size=size, context=context)

    async def fit(self, model: str, context: int = 0) -> Fit:
        """Whether a present model goes into memory.

        Raises:
            ProviderError: it is not present.
        """
        need, loaded = await self.need(model, context), await self.client.loaded()
        return fit(need, await self._memory(), loaded)

    async def make_room(self, model: str, context: int = 0) -> Fit:
        """Sees to it that the model can be loaded; others are unloaded when memory does not hold both.

        Raises:
            ProviderError: it does not go in at all, or is not present.
        """
        async with self._one_at_a_time():
            verdict = await self.fit(model, context)
            if not verdict.fits:
                raise trouble.too_big(verdict.why)
            for other in verdict.unload:
                await self.client.unload(other)
            if verdict.unload:
                await self._gone(verdict.unload)
            return verdict

    async def ensure(
        self,
        model: str,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> PresentModel:
        """The model, fetched if it is missing and that is allowed.

        Raises:
            ProviderError: it is missing and may not be fetched, or cannot be.
        """
        present = await self.client.present()
        found = next((one for one in present if same_name(one.name, model)), None)
        if found is not None:
            return found
        if not self.pulls:
            raise await self.client.missing(model)
        return await self.pull(model, on_progress=on_progress, cancelled=cancelled)

    async def pull(
        self,
        model: str,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> PresentModel:
        """Fetches the model, or brings it up to date; see ``maestro.llm.ollama.pull``."""
        self._facts.pop(model, None)
        folder = self._models_folder
        return await pull(self.client, model, on_progress=on_progress, cancelled=cancelled, models_folder=folder)

    async def choose(self, models: Sequence[str], context: int = 0) -> Choice:
        """Which of ``models``, in order of preference, is best used here: see ``fit.choose``.

        Raises:
            ProviderError: Ollama does not answer.
        """
        present = [one.name for one in await self.client.present()]
        fits = {}
        for name in models:
            if any(same_name(name, one) for one in present):
                fits[name] = await self.fit(name, context)
        return choose(models, present, fits)

    async def close(self) -> None:
        """Ends its connections."""
        await self.client.close()

    async def _memory(self) -> Memory | None:
        return await asyncio.to_thread(self._look) if self._look is not None else None

    async def _gone(self, models: Sequence[str]) -> None:
        """Waits until they have left memory: Ollama lets them finish what they answer."""
        until = time.monotonic() + UNLOAD_SECONDS
        while time.monotonic() < until:
            loaded = await self.client.loaded()
            if not any(same_name(one.name, name) for one in loaded for name in models):
                return
            await asyncio.sleep(0.1)

    def _one_at_a_time(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._lock is None or self._loop is not loop:
            self._lock, self._loop = asyncio.Lock(), loop
        return self._lock
