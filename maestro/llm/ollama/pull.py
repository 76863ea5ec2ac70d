"""Fetching a model through Ollama, which keeps what it has, goes on where it stopped and verifies every digest."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maestro.llm.model import ProviderError
from maestro.llm.ollama import trouble
from maestro.llm.ollama.client import OllamaClient
from maestro.llm.ollama.facts import PresentModel, same_name
from maestro.llm.ollama.need import shown

SPARE = 1024**3
"""Bytes that stay free on the disk."""
STALL_SECONDS = 120.0
"""Without a word from Ollama for so long, the pull is asked for anew."""
TRIES = 4
_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is.

    Args:
        status: Ollama's words: ``pulling manifest``, ``pulling 8eeb52dfb3bb`` …
        done, total: bytes of the layers known so far; both 0 before there is one.
    """

    status: str
    done: int = 0
    total: int = 0

    @property
    def share(self) -> float:
        """0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


async def pull(
    client: OllamaClient,
    model: str,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    cancelled: threading.Event | None = None,
    models_folder: Path | None = None,
    stall: float = STALL_SECONDS,
) -> PresentModel:
    """Fetches ``model`` and says what came; one that is there is brought up to date.

    A connection that breaks or falls silent is opened anew, and Ollama goes on where it was; cancelled, it keeps the
    parts for the next time.

    Args:
        cancelled: when set, the pull ends with asyncio.CancelledError.
        models_folder: where Ollama keeps models, to look at the free disk; None: found, if it is on this machine.
        stall: seconds of silence.

    Raises:
        ProviderError: there is no such model, too little disk, a digest is wrong, or the registry is out of reach.
    """
    folder = models_folder if models_folder is not None else (models_folder_here() if client.local else None)
    watch = _Disk(folder)
    watch.check({})
    last: ProviderError | None = None
    for _ in range(TRIES):
        try:
            await _once(client, model, on_progress, cancelled, watch, stall)
            break
        except ProviderError as error:
            if not error.retry:
                raise
            last = error
    else:
        assert last is not None
        last.next_step = f"run it again: what has come is kept; or `ollama pull {model}` to see for yourself"
        raise last
    found = next((one for one in await client.present() if same_name(one.name, model)), None)
    if found is None:
        raise trouble.broken(f"Ollama says that {model} was pulled, and does not list it")
    return found


def models_folder_here(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where an Ollama on this machine keeps models: OLLAMA_MODELS, the user's home, its service's; None: not seen."""
    named = environ.get("OLLAMA_MODELS")
    places = [Path(named)] if named else [Path.home() / ".ollama/models", Path("/usr/share/ollama/.ollama/models")]
    return next((one for one in places if one.is_dir()), None)


class _Disk:
    """Whether what is still to come goes onto the disk."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def check(self, layers: Mapping[str, tuple[int, int]]) -> None:
        if self._folder is None:
            return
        # Ollama makes the whole file of a layer when it begins with it, sparse: its blocks are taken as they come.
        to_come = sum(max(0, total - done) for done, total in layers.values())
        free = shutil.disk_usage(self._folder).free
        if free < to_come + SPARE:
            wants = f"{shown(to_come)} are still to come" if to_come else "nothing has come yet"
            raise ProviderError(
                f"too little disk for models: {shown(free)} are free in {self._folder}, {wants}, "
                f"and {shown(SPARE)} should stay free",
                kind="unavailable",
                sent=False,
                next_step="remove models with `ollama rm NAME`, or move them with OLLAMA_MODELS",
            )


async def _once(
    client: OllamaClient,
    model: str,
    on_progress: Callable[[Progress], None] | None,
    cancelled: threading.Event | None,
    disk: _Disk,
    stall: float,
) -> None:
    layers: dict[str, tuple[int, int]] = {}
    async with aclosing(client.lines("/api/pull", {"model": model})) as lines:
        async for line in _patient(lines, cancelled, stall, client.url):
            status = str(line.get("status") or "")
            digest, total = line.get("digest"), line.get("total")
            if isinstance(digest, str) and isinstance(total, int):
                fresh = digest not in layers
                layers[digest] = (min(int(line.get("completed") or 0), total), total)
                if fresh:
                    disk.check(layers)
            if on_progress is not None:
                done, whole = (sum(pair[place] for pair in layers.values()) for place in (0, 1))
                on_progress(Progress(trouble.said(status), done, whole))
            if status == "success":
                return
    raise trouble.broken(f"the pull of {model} broke off")


async def _patient(
    lines: AsyncIterator[dict[str, Any]], cancelled: threading.Event | None, stall: float, url: str
) -> AsyncIterator[dict[str, Any]]:
    """The lines, looking at ``cancelled`` while none comes."""
    clock = asyncio.get_running_loop().time
    while True:
        line = asyncio.ensure_future(anext(lines))
        heard = clock()
        try:
            while not line.done():
                if cancelled is not None and cancelled.is_set():
                    raise asyncio.CancelledError
                if clock() - heard > stall:
                    raise trouble.broken(f"Ollama at {url} has said nothing of the pull for {stall:g} s")
                await asyncio.wait({line}, timeout=_LOOK_SECONDS)
        finally:
            if not line.done():
                line.cancel()
                await asyncio.wait({line})
        try:
            found = line.result()
        except StopAsyncIteration:
            return
        except ProviderError as error:
            raise _of_pull(error) from None
        yield found


def _of_pull(error: ProviderError) -> ProviderError:
    """Ollama tells every failure of a pull by words alone."""
    words = error.what.lower()
    if "file does not exist" in words or "manifest unknown" in words or "invalid model name" in words:
        error.retry = False
        error.next_step = "look its name up at https://ollama.com/library"
    elif "digest mismatch" in words:
        # Ollama has thrown the layer away; another try fetches it again.
        error.retry = True
    elif "no space left" in words:
        error.retry = False
        error.next_step = "remove models with `ollama rm NAME`, or move them with OLLAMA_MODELS"
    return error
