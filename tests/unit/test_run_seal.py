"""What could not be brought into the audit log or the vault at the end of a run is told, all of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from maestro.errors import MaestroError
from maestro.execution.session import RunSession

ASKED = "which models this run asked is not in the audit log"
VAULT = "signed, but not in the vault: the vault is away"


def sealed(asked: str | None, vault: str | None) -> str | None:
    """What ``seal`` says when its parts go wrong like this; None: they do not."""

    def close() -> None:
        if vault is not None:
            raise MaestroError(vault)

    made = SimpleNamespace(_models=SimpleNamespace(audit=lambda: asked), _desk=SimpleNamespace(close=close))
    return RunSession.seal(cast(RunSession, made))


def test_nothing_is_said_when_all_went_well() -> None:
    assert sealed(None, None) is None
    assert RunSession.seal(cast(RunSession, SimpleNamespace(_models=None, _desk=None))) is None


@pytest.mark.parametrize("asked", [None, ASKED])
@pytest.mark.parametrize("vault", [None, "the vault is away"])
def test_each_problem_is_said_also_where_there_are_two(asked: str | None, vault: str | None) -> None:
    said = sealed(asked, vault) or ""
    assert (ASKED in said, VAULT in said) == (asked is not None, vault is not None)
    assert said.startswith(f"{ASKED}; what this run has logged") == (None not in (asked, vault))
