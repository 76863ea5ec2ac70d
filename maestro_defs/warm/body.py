"""What a worker does for a run: a function, named so that another can be put in its place."""

from __future__ import annotations

import importlib
import threading
from typing import Protocol

from maestro.errors import InputError
from maestro.server.home import ServerHome

BODY = "maestro_defs.run_worker:carry_out"


class Preparation(Protocol):
    """Makes a fresh worker ready for whatever run comes."""

    def __call__(self, home: ServerHome) -> None:
        """May open what a run needs; what fails here is left to the run."""


class Body(Protocol):
    """Carries out a run to its end; called in a thread of the worker."""

    def __call__(self, run_id: str, home: ServerHome, stop: threading.Event | None, *, resume: bool = False) -> None:
        """Returns when nothing of the run goes on; ``stop`` asks it to stop, ``resume`` says a worker died with it."""


def load_preparation(name: str) -> Preparation | None:
    """What the module of the body called ``name`` does before it is known which run comes; None: nothing."""
    found: Preparation | None = getattr(importlib.import_module(name.partition(":")[0]), "prepare", None)
    return found


def load_body(name: str) -> Body:
    """The function called ``name``, ``module:function``.

    Raises:
        InputError: there is none.
    """
    module, _, function = name.partition(":")
    try:
        found: Body = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"no function '{name}' to carry out runs: {error}", next_step="check --body") from error
    return found
