"""Models, decisions and prompts as the command line finds them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from maestro.cli.money_source import MoneyPlace
from maestro.errors import InputError, Location

AS_TEXT = "a model reads text alone: give text, encoded as UTF-8"

if TYPE_CHECKING:
    from datetime import datetime

    from maestro.llm.blocking import BlockingGateway
    from maestro.llm.catalogue import Catalogue
    from maestro.llm.decisions import DecisionStore
    from maestro.llm.errors import Unsettled
    from maestro.llm.gateway import Gateway


def catalogue_of(place: MoneyPlace) -> Catalogue:
    """The models and routes in effect.

    Raises:
        InputError: a file of theirs is wrong.
    """
    from maestro.llm.opening import catalogue_for

    return catalogue_for(place.root, place.environ)


@contextmanager
def gateway_of(
    place: MoneyPlace,
    on_unsettled: Callable[[Unsettled], object] | None = None,
    on_open: Callable[[], object] = lambda: None,
) -> Iterator[BlockingGateway]:
    """The gateway; closed at the end, with everything that was spent in the ledger.

    Args:
        on_unsettled: told of each call whose cost could not be written; None: the log is.
        on_open: called once it is open, which is when something is first asked of it.

    Raises:
        MaestroError: it cannot be opened.
    """
    from maestro.llm.blocking import BlockingGateway

    def made() -> Gateway:
        gateway = opened(place)
        if on_unsettled is not None:
            gateway.bookkeeper.on_unsettled = on_unsettled
        on_open()
        return gateway

    place.make_home()
    with BlockingGateway(made) as gateway:
        yield gateway


def opened(place: MoneyPlace) -> Gateway:
    """A gateway for the running event loop.

    Raises:
        MaestroError: it cannot be opened.
    """
    from maestro.artifacts import ArtifactStore
    from maestro.execution.model_policy import engine_of
    from maestro.llm.opening import open_gateway

    store = ArtifactStore.open(str(place.home / "artifacts"))
    policies = engine_of(place.home, place.environ, place.profile)
    return open_gateway(home=place.home, environ=place.environ, workspace=place.root, store=store, policies=policies)


@contextmanager
def decisions_of(place: MoneyPlace) -> Iterator[DecisionStore]:
    """The decisions that were kept.

    Raises:
        MaestroError: their database does not answer.
    """
    from maestro.llm.decisions import DecisionStore

    with place.ledger() as ledger:
        yield DecisionStore(ledger.engine)


def read_variables(assignments: Sequence[str]) -> dict[str, Any]:
    """Variables of a prompt: ``name=value``; the value is JSON or text, ``name=@file`` is the file's content.

    Raises:
        InputError: one is no assignment, it or its file is not UTF-8, or the file cannot be read.
    """
    from pathlib import Path

    from maestro.cli.audit_source import read_file

    found: dict[str, Any] = {}
    for one in assignments:
        name, equals, text = one.partition("=")
        if not equals or not name.strip():
            raise InputError(f"'{one[:80]}' is no variable", next_step="write --var NAME=VALUE or --var NAME=@FILE")
        if text.startswith("@"):
            found[name.strip()] = text_of(read_file(Path(text[1:])), Location(text[1:]))
            continue
        check_argument(text, f"--var {name.strip()}")
        try:
            found[name.strip()] = json.loads(text)
        except (ValueError, RecursionError):
            found[name.strip()] = text
    return found


def text_of(data: bytes, where: Location | None = None, what: str = "") -> str:
    """Bytes a person gave, as text.

    Args:
        where: the file; what: what it is where it is none.

    Raises:
        InputError: they are not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        told = f"{what} is not UTF-8 at byte {error.start}" if what else f"not UTF-8 at byte {error.start}"
        raise InputError(told, where=where, next_step=AS_TEXT) from None


def check_argument(text: str, name: str) -> None:
    """Raises InputError when an argument of the command line is not UTF-8."""
    from maestro.llm.texts import not_utf8

    byte = not_utf8(text)
    if byte is not None:
        raise InputError(f"the argument {name} is not UTF-8 at byte {byte}", next_step=AS_TEXT)


def shown_time(at: datetime) -> str:
    """``2027-01-31 12:00:00``, UTC."""
    return at.strftime("%Y-%m-%d %H:%M:%S")
