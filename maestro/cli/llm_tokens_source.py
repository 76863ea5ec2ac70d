"""Where the tokens of the OpenAI-compatible endpoint are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maestro.cli.money_source import MoneyPlace

if TYPE_CHECKING:
    from maestro.llm.endpoint_tokens import TokenFile


def tokens_of(place: MoneyPlace) -> TokenFile:
    """The file of tokens: the server's, else the project's."""
    from maestro.llm.endpoint_tokens import FILE, TokenFile

    return TokenFile((place.server.folder if place.server is not None else place.home) / FILE)
