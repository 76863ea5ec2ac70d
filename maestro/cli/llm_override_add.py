"""``maestro llm override add``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.money_source import SERVER_HOME_OPTION, MoneyPlace
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from maestro.llm.catalogue import Catalogue
    from maestro.llm.state import Override, PolicyVerdict


@example_command(
    "add",
    example="""maestro llm override add cheap gpt-4o-mini --expires 7d --reason 'the other one misses imports'
maestro llm override add '*' offline --expires 12h --scope tenant:acme --strict --reason 'incident 42'""",
)
@click.argument("target")
@click.argument("model")
@click.option("--reason", required=True, metavar="TEXT", help="Why, in one line.")
@click.option(
    "--expires", required=True, metavar="WHEN", help="12h, 30d, 2027-01-31 or a time with zone; 90 days at most."
)
@click.option("--scope", metavar="SCOPE", help="Whose requests: like project:acme/app or tenant:acme; this project's.")
@click.option("--strict", is_flag=True, help="Nothing but this model, not even when it fails.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    target: str,
    model: str,
    reason: str,
    expires: str,
    scope: str | None,
    strict: bool,
    server_home: Path | None,
    as_json: bool,
) -> int:
    """Send a target to one model until a day, for a reason.

    TARGET is a model, a route or a capability as it is asked for; '*' is any. It never lets through what a budget, a
    region or a policy refuses.
    """
    from maestro.cli.budget_words import read_scope, read_until
    from maestro.cli.llm_source import catalogue_of
    from maestro.cli.money_source import note, place_of
    from maestro.cli.run_named import with_whole_run
    from maestro.errors import MaestroError
    from maestro.llm.overrides import OverrideStore, make_override, override_json

    now = datetime.now(UTC)
    place = place_of(options, server_home)
    until = read_until(expires, now, "--expires")
    whose = str(with_whole_run(options, place, read_scope(scope or "project", place, now)))
    made = make_override(
        target, model, reason=reason, scope=whose, expires=until, actor=place.actor, strict=strict, now=now
    )
    catalogue = catalogue_of(place)
    with place.ledger() as ledger:
        store = OverrideStore(ledger.engine)
        change = store.put(made, catalogue, allowed=policy_of(place, catalogue))
        try:
            note(options, place, change.kind, change.object, change.data)
        except MaestroError:
            # What the audit log does not have must not count.
            store.revoke(made.id, reason="it could not be written into the audit log", actor=place.actor)
            raise
    terminal = Terminal(options)
    if as_json:
        terminal.json(override_json(made))
    else:
        what = "everything" if made.target == "*" else f"'{made.target}'"
        terminal.line(
            printable(f"{made.id}: {what} of {made.scope} goes to {made.model} until {made.expires:%Y-%m-%d %H:%M} UTC")
        )
    return 0


def policy_of(place: MoneyPlace, catalogue: Catalogue) -> Callable[[Override], PolicyVerdict] | None:
    """What the policy says of overrides; None: no policy is in effect."""
    if catalogue.policy is None:
        return None
    from maestro.execution.model_policy import engine_of
    from maestro.ledger.model import Attribution
    from maestro.llm.policy_gate import gate_for

    gate = gate_for(catalogue, engine_of(place.home, place.environ, place.profile))
    # On a server no project need be known.
    who = Attribution(place.tenant, place.project or "", actor=place.actor)
    return None if gate is None else lambda one: gate.override_verdict(one, catalogue, who)
