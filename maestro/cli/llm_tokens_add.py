"""``maestro llm tokens add``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from maestro.cli.money_source import SERVER_HOME_OPTION, MoneyPlace
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal
from maestro.errors import InputError

_NAME_SERVER = "tokens of other projects are a server's: name it with --server-home DIR"


@example_command(
    "add",
    example="""maestro llm tokens add editor
maestro llm tokens add ci --server-home /srv/maestro --for shop --pull-request 7 --budget usd=5 --expires 30d""",
)
@click.argument("name")
@click.option("--for", "charged", metavar="PROJECT", help="Project that is charged; the one you are in if not given.")
@click.option("--tenant", metavar="NAME", help="Its tenant; the project's own if not given.")
@click.option("--pull-request", type=click.IntRange(min=0), metavar="N", help="Pull request that is charged too.")
@click.option("--budget", metavar="UNIT=AMOUNT", help="What may be spent with this token, in all.")
@click.option("--expires", metavar="WHEN", help="12h, 30d, 2027-01-31 or a time with zone; never if not given.")
@click.option("--at-once", type=click.IntRange(1, 1000), default=16, show_default=True, help="Requests at once.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    name: str,
    charged: str | None,
    tenant: str | None,
    pull_request: int | None,
    budget: str | None,
    expires: str | None,
    at_once: int,
    server_home: Path | None,
    as_json: bool,
) -> int:
    """Make a token for one tenant and project; it is shown once.

    Everything asked with it is charged to that tenant and project, and counts as its own run, token-ID.
    """
    from maestro.cli.budget_words import read_amount, read_until
    from maestro.cli.llm_tokens_source import tokens_of
    from maestro.cli.money_source import note, place_of
    from maestro.ledger.model import shown
    from maestro.ledger.names import checked_attribution
    from maestro.llm.endpoint_tokens import make_token

    now = datetime.now(UTC)
    try:
        place = place_of(options, server_home)
    except InputError as error:
        if charged is not None and server_home is None:
            error.next_step = f"{_NAME_SERVER}; else: {error.next_step}"
        raise
    limit = None if budget is None else read_amount(budget, bounded=True)
    if limit is not None and not isinstance(limit[1], int):
        raise InputError(f"--budget '{budget}' is no amount", next_step="write UNIT=AMOUNT, as in usd=5")
    whose, tenant = _charged(place, charged, tenant)
    until = None if expires is None else read_until(expires, now, "--expires")
    written, token = make_token(
        name=name,
        tenant=tenant,
        project=whose,
        by=place.actor,
        now=now,
        pull_request=pull_request,
        expires=until,
        at_once=at_once,
    )
    checked_attribution(token.attribution())
    place.make_home()
    about = {name: value for name, value in token.to_json().items() if name != "sha256"}
    note(options, place, "llm.token.added", token.id, about)
    if limit is not None and isinstance(limit[1], int):
        # Before it counts, so that nothing is ever spent without it.
        with place.ledger() as ledger:
            ledger.set_limit(token.scope, limit[0], limit[1], actor=place.actor, reason=f"budget of the token {name}")
    tokens_of(place).add(token)
    terminal = Terminal(options)
    if as_json:
        terminal.json({**about, "token": written})
        return 0
    terminal.line(written)
    terminal.stream.flush()
    said = Terminal(options, sys.stderr)
    worth = f", up to {shown(limit[0], limit[1])}" if limit is not None and isinstance(limit[1], int) else ""
    said.line(f"this is shown once; it is charged to {tenant}/{whose}{worth}, as the run {token.scope.name}")
    return 0


def _charged(place: MoneyPlace, project: str | None, tenant: str | None) -> tuple[str, str]:
    if place.server is None and project not in (None, place.project):
        raise InputError(f"--for '{project}': this project is '{place.project}'", next_step=_NAME_SERVER)
    if project is None or place.server is None:
        return place.required_project(), tenant or place.tenant
    from maestro.cli.server_home import projects_of

    registered = projects_of(place.server)
    known = registered.find(project)
    if known is None:
        from maestro.cli.budget_words import nearest

        hint = nearest(project, [one.name for one in registered.all()])
        raise InputError(f"the server delivers no project '{project}'", next_step=hint or "maestro projects list")
    if tenant is not None and tenant != known.tenant:
        raise InputError(f"the tenant of '{project}' is '{known.tenant}'", next_step="leave --tenant out")
    return known.name, known.tenant
