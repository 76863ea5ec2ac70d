"""``maestro llm prune``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION, MoneyPlace
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural

if TYPE_CHECKING:
    from maestro.artifacts import ArtifactStore

_PARTS = ("reservation", "crossing", "decision", "answer")


@example_command(
    "prune",
    example="""maestro llm prune                         # what would go
maestro llm prune --yes                   # let it go
maestro llm prune --decision-days 90 --yes""",
)
@click.option(
    "--decision-days",
    type=click.IntRange(1, 36_500),
    metavar="N",
    help="Keep decisions for so long: 400 days, on a server what server.yaml says.",
)
@click.option("--yes", is_flag=True, help="Remove; without it only says what would go.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions, decision_days: int | None, yes: bool, server_home: Path | None, as_json: bool
) -> int:
    """Remove what nobody needs any more of models' calls.

    Without --yes it only says what would go: reservations that were over 90 days ago, told thresholds that
    cannot be crossed again, old decisions, and kept answers that are too old to be given again. Charges stay for
    ever. A server does it once a day by itself.
    """
    from maestro.cli.money_source import place_of

    place = place_of(options, server_home)
    days = decision_days or _days(place)
    stores = _stores(options, place)
    found = _remove(options, place, days, stores) if yes else _plan(place, days, stores)
    terminal = Terminal(options)
    if as_json:
        terminal.json({"removed": yes, **{f"{part}s": found[part] for part in _PARTS}})
        return 0
    *rest, last = (plural(found[part], part) for part in _PARTS)
    terminal.line(f"{'removed' if yes else 'would remove'} {', '.join(rest)} and {last}")
    if not yes and any(found.values()):
        terminal.line("next: add --yes")
    return 0


def _days(place: MoneyPlace) -> int | None:
    from maestro.server.settings import DECISION_DAYS

    return DECISION_DAYS if place.server is None else place.server.settings.models.decision_days


def _plan(place: MoneyPlace, days: int | None, stores: Sequence[ArtifactStore]) -> dict[str, int]:
    from maestro.llm.answers import old_answers
    from maestro.llm.decisions import DecisionStore

    found = dict.fromkeys(_PARTS, 0)
    found["answer"] = sum(map(old_answers, stores))
    if place.there:
        with place.ledger() as ledger:
            gone = ledger.prunable()
            found |= {"reservation": gone.reservations, "crossing": gone.crossings}
            if days is not None:
                found["decision"] = DecisionStore(ledger.engine).older(datetime.now(UTC) - timedelta(days=days))
    return found


def _remove(
    options: GlobalOptions, place: MoneyPlace, days: int | None, stores: Sequence[ArtifactStore]
) -> dict[str, int]:
    from maestro.cli.decision_audit import decision_audit
    from maestro.cli.money_source import note
    from maestro.llm.answers import prune_answers
    from maestro.llm.days import DaySummaries
    from maestro.llm.decisions import DecisionStore
    from maestro.llm.retention import REMOVED_KIND

    now = datetime.now(UTC)
    found = dict.fromkeys(_PARTS, 0)
    if place.there:
        with place.ledger() as ledger:
            decisions = DecisionStore(ledger.engine)
            if days is not None and (old := decisions.older(now - timedelta(days=days))):
                # What was never audited could be removed by anybody, unseen.
                with decision_audit(options, place, ledger) as audit:
                    audit.rest(whole=True)
                data: dict[str, Any] = {"decisions": old, "days": days}
                data["before"] = (now - timedelta(days=days)).isoformat(timespec="seconds")
                note(options, place, REMOVED_KIND, "decisions", data)
                found["decision"] = decisions.prune(days, now=now)
            decisions.prune_findings()
            gone = ledger.prune()
            found |= {"reservation": gone.reservations, "crossing": gone.crossings}
            DaySummaries(ledger.engine).prune(now)
    found["answer"] = sum(prune_answers(store, now) for store in stores)
    return found


def _stores(options: GlobalOptions, place: MoneyPlace) -> list[ArtifactStore]:
    """Where answers are kept, each once."""
    from maestro.artifacts import ArtifactStore
    from maestro.profile import load_profile

    server = place.server
    homes = [place.home] if server is None else [server.folder, *sorted(server.projects.iterdir())]
    profile = load_profile(options.profile if server is None else server.settings.profile)
    urls = [str(home / "artifacts") for home in homes if (home / "artifacts").is_dir()]
    if profile.settings.artifacts:
        urls.append(profile.settings.artifacts)
    return [ArtifactStore.open(url) for url in urls]
