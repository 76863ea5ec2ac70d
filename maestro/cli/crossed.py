"""Which budgets passed a threshold while a run went on: what a conductor tells on a server, told by the run itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from maestro.errors import MaestroError

if TYPE_CHECKING:
    from maestro.ledger.model import Attribution, Crossing


@dataclass(frozen=True, slots=True)
class Looked:
    """A moment before a run.

    Args:
        home: the project's state folder.
        since: on this machine's clock, as a ledger beside the project has it.
    """

    home: Path
    environ: Mapping[str, str]
    since: datetime

    def told(self, tenant: str, project: str, run: str) -> tuple[str, ...]:
        """A sentence for each threshold passed since then in a budget the run is charged to, the oldest first.

        It was written down in any case, so where it cannot be read now, that is what is told.
        """
        from maestro.ledger.place import is_there, ledger_url

        if not is_there(self.home, self.environ):
            return ()
        from maestro.ledger.model import Attribution
        from maestro.ledger.store import Ledger
        from sensors.budgets import sentence

        who = Attribution(tenant, project, run=run)

        try:
            with Ledger.open(ledger_url(self.home, self.environ)) as ledger:
                found = ledger.crossings(self.since)
        except MaestroError as error:
            return (f"whether one passed a threshold cannot be read: {error.what}",)
        return tuple(sentence(one) for one in found if concerns(one, who, self.since))


def look(home: Path, environ: Mapping[str, str]) -> Looked:
    """Remembers the time, for what is told when the run has ended."""
    return Looked(home, environ, datetime.now(UTC))


def concerns(crossing: Crossing, who: Attribution, since: datetime) -> bool:
    """Whether what was crossed is a budget that ``who`` is charged to, or one of a step of its run.

    Args:
        since: when the run began; it may end in another month.
    """
    scope = crossing.scope
    if scope.kind == "step":
        return who.run is not None and scope.name.startswith(f"{who.run}/")
    return scope in {*who.scopes(since), *who.scopes(crossing.at)}
