"""Errors of providers as people may read them: who it was, shortened, without the key, which a provider may repeat."""

from __future__ import annotations

from maestro.llm.model import ProviderError
from maestro.secrets import MINIMUM_LENGTH, Masker

LONGEST_WORDS = 400
"""Characters of an error, the provider's own words among them."""


def placed(error: ProviderError, place: str, key: str | None) -> ProviderError:
    """The error itself, its text changed."""
    said = "".join(character for character in " ".join(error.what.split()) if character.isprintable())
    # Before it is shortened, or the first half of a key could stay.
    said = Masker([key]).text(said) if key and len(key.strip()) >= MINIMUM_LENGTH else said
    error.what = f"{place}: {said if len(said) <= LONGEST_WORDS else said[: LONGEST_WORDS - 1] + '…'}"
    error.args = (error.what,)
    return error


def late(place: str, seconds: float, *, began: bool = True) -> ProviderError:
    """The error for what did not come in time; ``began``: something had come."""
    return ProviderError(
        f"{place} did not send {'the whole answer' if began else 'anything'} within {seconds:g} s",
        kind="timeout",
        next_step="give it more time (`timeout` of the model), or ask another model",
    )


def endless(limit: int) -> ProviderError:
    """The error for an answer that is longer than any can be."""
    return ProviderError(
        f"the answer does not end: more than {limit:,} bytes came",
        kind="garbage",
        next_step="see whether the model's server is healthy, or ask another model",
    )
