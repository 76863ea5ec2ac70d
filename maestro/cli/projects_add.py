"""``maestro projects add``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION
from maestro.cli.terminal import Terminal

if TYPE_CHECKING:
    from maestro.server.home import ServerHome
    from maestro.server.projects import RegisteredProject


@example_command(
    "add",
    example="""maestro projects add https://github.com/acme/shop.git
maestro projects add https://github.com/acme/shop.git --tenant web --credentials file:/etc/maestro/token
maestro projects add /srv/git/shop.git --provider github --repository acme/shop""",
)
@click.argument("url")
@click.option("--name", metavar="NAME", help="Name here and in the UI; the address's last part if not given.")
@click.option("--tenant", default="default", show_default=True, metavar="NAME", help="Whose limits its runs count to.")
@click.option(
    "--provider", type=click.Choice(["github", "gitlab", "git"]), help="Who sends webhooks; told by the host."
)
@click.option("--repository", metavar="OWNER/NAME", help="As the provider writes it; told by the address.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="REF",
    help="Webhook secret: env:NAME or file:PATH; made if not given.",
)
@click.option("--credentials", metavar="REF|app", help="Token to fetch and report with: env:NAME, file:PATH, or app.")
@click.option(
    "--installation", type=click.IntRange(1), metavar="ID", help="Of the GitHub App; asked of GitHub if not given."
)
@click.option("--branch", metavar="NAME", help="Default branch; asked of the repository if not given.")
@click.option("--depth", type=click.IntRange(1), metavar="N", help="Commits of history to fetch; all if not given.")
@click.option("--submodules", is_flag=True, help="Check out submodules too.")
@click.option("--lfs", is_flag=True, help="Fetch what Git LFS keeps.")
@click.option("--show-secret", is_flag=True, help="Write the webhook secret to the terminal.")
@HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    url: str,
    name: str | None,
    tenant: str,
    provider: Literal["github", "gitlab", "git"] | None,
    repository: str | None,
    secrets: tuple[str, ...],
    credentials: str | None,
    installation: int | None,
    branch: str | None,
    depth: int | None,
    submodules: bool,
    lfs: bool,
    show_secret: bool,
    home: Path | None,
    as_json: bool,
) -> int:
    """Register a repository, whose pushes and pull requests then become runs.

    URL is an https or ssh address, or a folder. Its default branch is fetched to see that it can be. A server that runs
    takes the project up by itself. --file names another workflow file than maestro.yaml.
    """
    from maestro.cli import projects_source as source
    from maestro.cli.server_home import projects_of, server_home
    from maestro.cli.server_supervisor import SUPERVISOR
    from maestro.errors import InputError
    from maestro.server.projects import RegisteredProject
    from maestro.server.references import read_reference
    from maestro.server.wake import poke

    server = server_home(options, home)
    address = source.address_of(url)
    provider = provider or source.provider_of(address)
    name = name or source.name_of(address)
    project = RegisteredProject(
        name=name,
        url=address.url,
        tenant=source.checked_tenant(tenant),
        provider=provider,
        repository=source.checked_repository(repository or source.repository_of(address, provider), provider, name),
        default_branch=branch,
        workflow_file=source.checked_workflow_file(options.file),
        hook_secrets=tuple(source.checked_reference(one, "--secret") for one in secrets),
        credentials=credentials
        if credentials in (None, "app")
        else source.checked_reference(credentials, "--credentials"),
        installation=installation,
        depth=depth,
        submodules=submodules,
        lfs=lfs,
    )
    registry = projects_of(server)
    if registry.find(name) is not None:
        raise InputError(f"there is a project '{name}' already", next_step="choose another --name")
    with _only_if_added(server, name):
        project, warnings = _fetched(server, project)
        if provider != "git" and not secrets and not server.settings.gateway.secrets:
            project = source.with_made_secret(server, project)
        registry.add(project)
    poke(server, SUPERVISOR)

    terminal = Terminal(options)
    shown = [read_reference(one) for one in project.hook_secrets] if show_secret else []
    if as_json:
        about = {**source.described(server, project), "warnings": warnings}
        terminal.json({**about, "secrets": shown} if show_secret else about)
        return 0
    terminal.line(f"added {project.name}: {project.url}, default branch {project.default_branch}")
    for warning in warnings:
        terminal.line(terminal.paint(f"warning: {warning}", "yellow"))
    for line in source.webhook_advice(server, project):
        terminal.line(line)
    for one in shown:
        terminal.line(f"  Its content   {one}")
    return 0


@contextmanager
def _only_if_added(home: ServerHome, name: str) -> Iterator[None]:
    """Leaves no mirror and no secret behind when the block fails."""
    import shutil

    from maestro.cli.projects_source import made_secret
    from maestro.errors import MaestroError

    mirror, lock = home.mirrors / f"{name}.git", home.mirrors / f"{name}.git.lock"
    secret = made_secret(home, name)
    there = {one for one in (mirror, lock, secret) if one.exists()}
    try:
        yield
    except MaestroError:
        if mirror not in there:
            shutil.rmtree(mirror, ignore_errors=True)
        for file in {lock, secret} - there:
            file.unlink(missing_ok=True)
        raise


def _fetched(home: ServerHome, project: RegisteredProject) -> tuple[RegisteredProject, list[str]]:
    """The project with its default branch, once that was fetched, and what is to be said of its workflow file.

    Raises:
        MaestroError: it cannot be fetched.
    """
    from dataclasses import replace

    from maestro.errors import MaestroError
    from maestro_defs.server import Server

    server = Server(home)
    mirror = server.mirror(project)
    branch = project.default_branch or mirror.default_branch()
    head = mirror.head(branch)
    mirror.ensure(head, f"refs/heads/{branch}")
    project = replace(project, default_branch=branch)
    try:
        declared = server.workflow(project, head).workflow.project
    except MaestroError as error:
        place = f"{error.where}: " if error.where else ""
        return project, [f"on {branch}, {place}{error.what}"]
    if declared not in (None, project.name):
        return project, [f"its {project.workflow_file} calls the project '{declared}'; here it is '{project.name}'"]
    return project, []
