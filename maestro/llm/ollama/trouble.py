"""What goes wrong with Ollama, as errors with a next step; its bodies are ``{"error": "…"}``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from maestro.llm.model import ProviderError
from maestro.llm.providers.openai_wire import clean

LONGEST_DETAIL = 300
_OUT_OF_MEMORY = re.compile(
    r"more (system|gpu) memory|out of memory|insufficient memory|unable to allocate|failed to allocate|cudamalloc"
    r"|(model|runner).{0,40}(signal: killed|terminated.*killed)|model requires more",
    re.IGNORECASE,
)
_RUNNER_DIED = re.compile(r"runner (process )?(has terminated|no longer running)", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context (length|window|size)|exceeds? (the )?(available |maximum )?context|input is too long", re.I
)


def not_running(url: str, reason: str = "") -> ProviderError:
    """Nothing answers at ``url``."""
    because = f" ({said(reason)})" if reason else ""
    return ProviderError(
        f"Ollama does not answer at {url}{because}",
        kind="unavailable",
        sent=False,
        next_step="start it with `ollama serve`, or set OLLAMA_HOST to where it is",
    )


def no_version(url: str, status: int) -> ProviderError:
    """What is asked for its version at ``url`` answers with an error."""
    if status in (401, 403):
        return ProviderError(
            f"Ollama at {url} refuses the key ({status})",
            kind="auth",
            sent=False,
            next_step="look at what the model's `key` in models.yaml refers to",
        )
    return ProviderError(
        f"Ollama at {url} answers {status}", kind="unavailable", sent=False, next_step="see what its log says"
    )


def missing(model: str, close: Sequence[str], present: Sequence[str]) -> ProviderError:
    """The model is not on Ollama's disk; ``close`` are present ones that may have been meant."""
    if close:
        there = f"; present are {', '.join(close)}"
    elif present:
        there = f"; {len(present)} other model{'s are' if len(present) > 1 else ' is'} present"
    else:
        there = "; no model is"
    return ProviderError(
        f"Ollama has no model '{model}'{there}",
        kind="unavailable",
        sent=False,
        next_step=f"ollama pull {model}, or see `maestro llm models` for what there is",
    )


def too_big(why: str) -> ProviderError:
    """The model does not go into memory, as reckoned beforehand."""
    return ProviderError(
        why,
        kind="unavailable",
        sent=False,
        next_step="use a smaller model or quantization, a shorter context, or free memory (`ollama stop NAME`)",
    )


def refusal(status: int, message: str, model: str = "") -> ProviderError:
    """The error Ollama answered with.

    Args:
        status: of the response; -1: it came within an answer that had begun.
    """
    words = said(message) or f"it answered {status}"
    began = status < 0
    name = f" for {model}" if model else ""
    if _OUT_OF_MEMORY.search(message):
        return ProviderError(
            f"Ollama has too little memory{name}: {words}",
            kind="unavailable",
            sent=began,
            next_step="use a smaller model or quantization, a shorter context, or free memory (`ollama stop NAME`)",
        )
    if _RUNNER_DIED.search(message):
        return ProviderError(
            f"the process that runs the model died{name}: {words}",
            kind="unavailable",
            retry=True,
            next_step="look into Ollama's log; too little memory is the usual reason",
        )
    what = f"Ollama answered{f' {status}' if not began else ''}: {words}"
    if status in (401, 403):
        return ProviderError(what, kind="auth", sent=False, next_step="sign in with `ollama signin`, or give its key")
    if status in (429, 503):
        wait = "wait, or let more requests run at once (OLLAMA_NUM_PARALLEL, OLLAMA_MAX_QUEUE)"
        kind = "rate_limit" if status == 429 else "unavailable"
        return ProviderError(what, kind=kind, retry=True, sent=False, next_step=wait)
    if _TOO_LONG.search(message):
        shorten = "shorten the input, or use a model with a larger context"
        return ProviderError(what, kind="context", sent=began, next_step=shorten)
    if 400 <= status < 500:
        return ProviderError(what, kind="bad_request", sent=False)
    return ProviderError(what, kind="unavailable", retry=True, next_step="look into Ollama's log")


def late(url: str, seconds: float, what: str) -> ProviderError:
    """It took too long."""
    return ProviderError(
        f"Ollama at {url} did not send {what} within {seconds:g} s",
        kind="timeout",
        next_step="give it more time (`timeout` of the model): loading a large model takes minutes the first time",
    )


def broken(what: str) -> ProviderError:
    """What came cannot be an answer."""
    return ProviderError(what, kind="garbage", retry=True, next_step="look into Ollama's log, or restart it")


def said(message: str) -> str:
    """Ollama's own words: one printable line, shortened."""
    line = " ".join(clean(message).split())
    printable = "".join(character for character in line if character.isprintable())
    return printable if len(printable) <= LONGEST_DETAIL else printable[: LONGEST_DETAIL - 1] + "…"
