"""Submodules without ``git submodule``: a mirror each, and no program or setting the repository could name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import InputError, MaestroError
from maestro.mirror.credentials import no_credentials
from maestro.mirror.errors import MirrorError
from maestro.mirror.layout import Checkout
from maestro.mirror.mirror import Mirror
from maestro.project.git import parse_records

_GITLINK = "160000"
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Submodule:
    """A commit of another repository, at a path of this one."""

    path: str
    sha: str
    url: str


def submodules_of(checkout: Checkout) -> list[Submodule]:
    """What the revision's ``.gitmodules`` and tree say; those it sets to ``update = none`` are left out.

    Raises:
        InputError: a submodule has no address.
        MirrorError: ``.gitmodules`` cannot be read.
    """
    links = {
        path: about.split(" ")[1]
        for about, _, path in (
            record.partition("\t") for record in parse_records(checkout.ask("ls-files", "--stage", "-z").output)
        )
        if about.startswith(_GITLINK)
    }
    if not links:
        return []
    answer = checkout.ask("config", "-z", "--blob", f"{checkout.sha}:.gitmodules", "--list")
    if not answer.ok:
        raise MirrorError(f".gitmodules of commit {checkout.sha} cannot be read: {answer.reason}")
    named = _by_path(parse_records(answer.output))
    found = []
    for path, sha in sorted(links.items()):
        settings = named.get(path, {})
        if settings.get("update") == "none":
            continue
        if not settings.get("url"):
            raise InputError(
                f"submodule '{path}' of {checkout.address} has no address in .gitmodules",
                next_step="add it there, or remove the submodule",
            )
        found.append(Submodule(path, sha, settings["url"]))
    return found


def _by_path(records: Sequence[str]) -> dict[str, dict[str, str]]:
    modules: dict[str, dict[str, str]] = {}
    for record in records:
        key, _, value = record.partition("\n")
        section, _, rest = key.partition(".")
        name, _, setting = rest.rpartition(".")
        if section == "submodule":
            modules.setdefault(name, {})[setting] = value
    return {settings["path"]: settings for settings in modules.values() if "path" in settings}


def add_submodules(
    mirror: Mirror, checkout: Checkout, add: Callable[[Mirror, str, Path], None], *, strange: bool = False
) -> None:
    """Gets each submodule's commit and has ``add`` check it out at its place.

    Credentials go along only to the host of the repository itself, and of a ``strange`` revision nowhere.

    Raises:
        MaestroError: one cannot be had; the message names it.
    """
    for submodule in submodules_of(checkout):
        try:
            inner = submodule_mirror(mirror, submodule.url, strange=strange)
            inner.ensure(submodule.sha)
            add(inner, submodule.sha, checkout.folder / submodule.path)
        except MaestroError as error:
            error.what = f"submodule '{submodule.path}': {error.what}"
            raise


def submodule_mirror(mirror: Mirror, url: str, *, strange: bool = False) -> Mirror:
    """The mirror of a submodule, inside of that of its repository.

    Args:
        strange: a stranger has named it: without credentials, and apart from what was fetched with them.

    Raises:
        InputError: the address cannot be used, or submodules are nested too deep.
    """
    address = mirror.address.beside(url)
    if mirror.folder.parts.count("modules") >= _DEEPEST:
        raise InputError(f"submodules are nested more than {_DEEPEST} deep", next_step="look for one that holds itself")
    if strange and address.scheme in ("file", "ssh"):
        # The server's own files, and hosts its own keys open.
        raise InputError(
            f"{address} is no public address, and a submodule of somebody else's fork has no other",
            next_step="approve the commit, or give the submodule an https address",
        )
    name = hashlib.sha256((address.url + ("\nstrange" if strange else "")).encode()).hexdigest()[:20]
    credentials: Callable[[], Mapping[str, str]] = no_credentials
    if mirror.address.same_host(address) and not strange:
        credentials = mirror.credentials
    folder = mirror.folder / "modules" / f"{name}.git"
    return Mirror(folder, address.url, credentials, depth=mirror.depth, seconds=mirror.seconds)
