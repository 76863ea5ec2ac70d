"""A project as the command line names, checks and shows it."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

from maestro.cli.server_voice import hook_url
from maestro.errors import InputError
from maestro.mirror.address import Address
from maestro.project.project import WORKFLOW_FILE
from maestro.server.home import ServerHome
from maestro.server.projects import NAME, Provider, RegisteredProject
from maestro.server.references import REFERENCE_PATTERN, read_reference

_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)+")
_EVENTS = {
    "github": "Pushes, Pull requests, Check runs, Check suites, Issue comments; or everything",
    "gitlab": "Push events, Tag push events, Merge request events, Comments",
}


def address_of(text: str) -> Address:
    """The repository's address; a folder that is there is its absolute path.

    Raises:
        InputError: it is no address, or holds a secret.
    """
    if "://" not in text and Path(text).expanduser().is_dir():
        text = str(Path(text).expanduser().absolute())
    return Address.parse(text)


def provider_of(address: Address) -> Provider:
    """Who sends the repository's events, told by its host: ``git`` when that is unknown."""
    host = address.authority.partition(":")[0]
    for provider in ("github", "gitlab"):
        if provider in host:
            return provider
    return "git"


def repository_of(address: Address, provider: Provider) -> str:
    """``owner/name`` as the provider writes it in its events; empty when the address does not say.

    GitLab's may have several groups.
    """
    if address.scheme == "file":
        return ""
    path = re.sub(r"^[a-z+]+://[^/]+/|^[^/]*:(?!//)", "", address.url).strip("/").removesuffix(".git")
    parts = [part for part in path.split("/") if part]
    return "/".join(parts if provider == "gitlab" else parts[-2:]) if len(parts) >= 2 else ""


def name_of(address: Address) -> str:
    """A project's name after the last part of its address.

    Raises:
        InputError: that holds no letter to begin with.
    """
    last = re.split(r"[/:]", address.url.rstrip("/"))[-1].removesuffix(".git")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-_")
    name = name if name[:1].isalpha() else f"project-{name}".rstrip("-")
    if not NAME.fullmatch(name):
        raise InputError("the address gives no name for the project", next_step="give one with --name")
    return name


def checked_reference(reference: str, option: str) -> str:
    """A reference to a secret, its path made absolute; a file is read, a variable is the server's own.

    Args:
        option: where it was given.

    Raises:
        InputError: it is no reference, or the file cannot be used.
    """
    if not re.fullmatch(REFERENCE_PATTERN, reference):
        # What was given may be the secret itself, so it is not repeated.
        raise InputError(f"{option} takes a reference, not the secret itself", next_step="write env:NAME or file:PATH")
    kind, _, name = reference.partition(":")
    if kind == "file":
        reference = f"file:{Path(name).expanduser().absolute()}"
        read_reference(reference)
    return reference


def checked_tenant(name: str) -> str:
    """A tenant's name.

    Raises:
        InputError: it is none.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"'{name}' cannot be the name of a tenant",
            next_step="begin with a letter; then letters, digits, - and _, at most 63 in all",
        )
    return name


def checked_repository(repository: str, provider: Provider, name: str) -> str:
    """What the provider calls the repository; of a provider that sends nothing, the project's name will do.

    Raises:
        InputError: it is not ``owner/name``.
    """
    if provider == "git":
        return repository or name
    if not _REPOSITORY.fullmatch(repository) or (provider == "github" and repository.count("/") != 1):
        raise InputError(
            f"what {provider} calls the repository is not known: '{repository}' is not OWNER/NAME",
            next_step="give --repository OWNER/NAME",
        )
    return repository


def checked_workflow_file(file: str | None) -> str:
    """The workflow file's path in the repository.

    Raises:
        InputError: it leads out of it.
    """
    path = PurePosixPath(file or WORKFLOW_FILE)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"--file {path} leads out of the repository", next_step="give its path from the top")
    return str(path)


def made_secret(home: ServerHome, project: str) -> Path:
    """Where the webhook secret is that Maestro makes for a project."""
    return home.folder / "secrets" / project


def make_secret(home: ServerHome, project: str) -> str:
    """Makes a webhook secret, unless there is one; the reference to it."""
    file = made_secret(home, project)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return f"file:{file}"
    with os.fdopen(descriptor, "w", encoding="ascii") as opened:
        opened.write(secrets.token_hex(32))
    return f"file:{file}"


def with_made_secret(home: ServerHome, project: RegisteredProject) -> RegisteredProject:
    """The project with a webhook secret of its own, made when there is none yet."""
    return replace(project, hook_secrets=(make_secret(home, project.name),))


def described(home: ServerHome, project: RegisteredProject) -> dict[str, Any]:
    """A project as JSON: what is registered, and where its webhooks are taken; references, never secrets."""
    about = asdict(project)
    about["hook_secrets"] = list(project.hook_secrets)
    about["created"] = project.created.timestamp()
    return {**about, "webhook": hook_url(home, project)}


def webhook_advice(home: ServerHome, project: RegisteredProject) -> list[str]:
    """What to enter at the provider; nothing when it sends no webhooks."""
    url = hook_url(home, project)
    if url is None:
        return ["no webhooks: runs start by schedule and by hand"]
    place = {"github": "Settings > Webhooks > Add webhook", "gitlab": "Settings > Webhooks > Add new webhook"}
    lines = [
        f"at {project.repository}, {place[project.provider]}:",
        f"  URL           {url}",
        "                (the gateway as this machine reaches it; give the address your proxy has)",
    ]
    if project.provider == "github":
        lines.append("  Content type  application/json")
    for reference in project.hook_secrets:
        kind, _, name = reference.partition(":")
        lines.append(f"  Secret        {'the content of ' + name if kind == 'file' else 'the value of $' + name}")
    if not project.hook_secrets:
        lines.append("  Secret        one of gateway.secrets in server.yaml; unsigned webhooks are refused")
    return [*lines, f"  Events        {_EVENTS[project.provider]}"]
