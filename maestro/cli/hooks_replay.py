"""``maestro hooks replay``."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION
from maestro.cli.terminal import Terminal

if TYPE_CHECKING:
    from maestro.cli.hooks_source import Hooks
    from maestro.inbox import Delivery

_SUFFIX = "#replay-"
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """What happens to one webhook now.

    Args:
        new: number of the webhook that was made of it; None when it is taken again itself.
    """

    id: int
    text: str
    new: int | None = None


@example_command(
    "replay",
    example="maestro hooks replay 42\nmaestro hooks replay --dead --project shop\nmaestro hooks replay 42 --again",
)
@click.argument("deliveries", metavar="[ID]...", nargs=-1)
@click.option("--dead", is_flag=True, help="All that were given up.")
@click.option("--project", metavar="NAME", help="With --dead: only those of this registered project.")
@click.option("--again", is_flag=True, help="Also what is settled: as a new webhook, which gets a run of its own.")
@HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    deliveries: tuple[str, ...],
    dead: bool,
    project: str | None,
    again: bool,
    home: Path | None,
    as_json: bool,
) -> int:
    """Have webhooks taken again.

    What was given up, or waits, is tried again now; what it has started already is not started twice. What started a
    run, or needed none, is settled and stays so, unless --again.
    """
    from maestro.cli.hooks_source import Hooks
    from maestro.cli.server_home import server_home
    from maestro.server.wake import poke

    if bool(deliveries) == dead:
        raise click.UsageError("name webhooks by their ids, or all that were given up with --dead")
    if project is not None and not dead:
        raise click.UsageError("--project goes with --dead")
    server = server_home(options, home)
    hooks = Hooks(server)
    chosen = [hooks.find(one) for one in dict.fromkeys(deliveries)]
    # All are looked at before any is touched.
    for one in chosen:
        _refuse_settled(hooks, one, again)
    if dead:
        numbers = [one.headline.id for one in hooks.recent(_MOST, "dead", project)]
        chosen = [found for number in numbers if (found := hooks.inbox.get(number)) is not None]
    done = [_replay(hooks, one, again) for one in chosen]
    poke(server, "conductor")

    terminal = Terminal(options)
    if as_json:
        terminal.json({"replayed": [{"id": one.id, "new": one.new, "text": one.text} for one in done]})
        return 0
    for replayed in done:
        terminal.line(f"{replayed.id}: {replayed.text}")
    if not done:
        terminal.line("no webhook was given up")
    return 0


def _refuse_settled(hooks: Hooks, delivery: Delivery, again: bool) -> None:
    from maestro.cli.hooks_source import outcome_text
    from maestro.errors import InputError

    outcome = hooks.outcomes.get(delivery.id)
    if outcome is not None and outcome.state in ("started", "nothing") and not again:
        raise InputError(
            f"webhook {delivery.id} is settled ({outcome.state}: {outcome_text(outcome)})",
            next_step=f"maestro hooks replay {delivery.id} --again makes a new webhook of it, with a run of its own",
        )


def _replay(hooks: Hooks, delivery: Delivery, again: bool) -> Replayed:
    outcome = hooks.outcomes.get(delivery.id)
    if outcome is None:
        return Replayed(delivery.id, "was not looked at yet; a running server does so now")
    if outcome.state in ("waiting", "dead"):
        # Its attempts count anew, or it would be given up again at once.
        now = datetime.now(UTC)
        hooks.outcomes.record(replace(outcome, state="waiting", attempts=0, at=now, next_at=now))
        return Replayed(delivery.id, "is tried again now by a running server")
    new = _copied(hooks, delivery)
    return Replayed(delivery.id, f"was settled; as webhook {new} it gets a run of its own", new)


def _copied(hooks: Hooks, delivery: Delivery) -> int:
    """Puts the webhook into the inbox once more, under an id that nothing has yet; its number."""
    from maestro.inbox import NewDelivery

    known = {one.name: getattr(delivery, one.name) for one in fields(NewDelivery)}
    first = delivery.delivery.partition(_SUFFIX)[0]
    for number in range(1, _MOST):
        stored = hooks.inbox.append(NewDelivery(**{**known, "delivery": f"{first}{_SUFFIX}{number}"}))
        if stored.new:
            return stored.id
    raise click.ClickException(f"webhook {delivery.id} was replayed {_MOST} times")
