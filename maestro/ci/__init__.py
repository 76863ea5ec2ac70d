"""Files that make other CI services run Maestro: ``maestro init --ci``.

Each is a file beside this one, as it is written but for two words: ``@version@`` and ``@default-branch@``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from maestro.errors import InputError


@dataclass(frozen=True, slots=True)
class Service:
    """A CI service.

    Args:
        path: where it reads its file, relative to the repository.
        template: name of the file beside this module.
    """

    path: str
    template: str


SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        "github": Service(".github/workflows/maestro.yaml", "github.yaml"),
        "gitlab": Service(".gitlab-ci.yml", "gitlab.yaml"),
    }
)
"""By the names ``--ci`` takes."""

# What git takes in a branch's name is more; these need no quoting in YAML or in a filter of either service.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/")


def ci_file(service: str, *, version: str, default_branch: str) -> str:
    """The text of the service's file.

    Args:
        service: a name of ``SERVICES``.
        version: of Maestro, which the file installs.
        default_branch: the branch whose every commit is run.

    Raises:
        InputError: there is no such service, or the branch cannot be named in its file.
    """
    if service not in SERVICES:
        raise InputError(
            f"there is no file for the CI service '{service}'", next_step=f"choose one of {', '.join(SERVICES)}"
        )
    if not default_branch or not set(default_branch) <= _PLAIN:
        raise InputError(
            f"the branch {default_branch!r} cannot be named in a filter",
            next_step="print the file with --print on another branch, and write the branch by hand",
        )
    text = files(__package__).joinpath(SERVICES[service].template).read_text(encoding="utf-8")
    return text.replace("@version@", version).replace("@default-branch@", default_branch)
