"""The environment git runs in: what a hostile repository or the server's own account could add is shut out."""

from __future__ import annotations

import os
from collections.abc import Mapping

from maestro.errors import InputError
from maestro.mirror.address import Address
from maestro.mirror.credentials import settings_of

_KEPT = frozenset(
    {
        "GIT_CONFIG_GLOBAL",
        "GIT_EXEC_PATH",
        "GIT_PROXY_SSL_CAINFO",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_SSL_CAINFO",
        "GIT_SSL_CAPATH",
    }
)
"""Git's variables that are taken from the server's own environment: how its host reaches others."""

_FIXED = {
    "LC_ALL": "C.UTF-8",
    "LANGUAGE": "",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "SSH_ASKPASS_REQUIRE": "never",
}

HARDENED = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    # ``Checkout.mentions`` looks for names in the index, which other forms of it write in pieces.
    ("index.version", "2"),
    ("core.splitIndex", "false"),
    # An empty helper clears the list: an account's helper would lend its own credentials to every project.
    ("credential.helper", ""),
    # A redirect would carry the credentials to wherever it leads.
    ("http.followRedirects", "false"),
    # A server that sends nothing at all for two minutes is gone; git sends a byte every five seconds while it works.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "120"),
    # Objects are checked when they come in: a tree with '.git', a '.gitmodules' that would run a command, links that
    # leave. What old and honest tools got wrong, and harms nobody, is let through.
    ("transfer.fsckObjects", "true"),
    *(
        (f"fetch.fsck.{slip}", "ignore")
        for slip in (
            "badTimezone",
            "missingSpaceBeforeDate",
            "zeroPaddedFilemode",
            "badFilemode",
            "missingSpaceBeforeEmail",
            "missingTaggerEntry",
            "badTagName",
            "nulInCommit",
            "missingNameBeforeEmail",
            "badDate",
            "badEmail",
            "missingEmail",
        )
    ),
)
"""Settings given with every call, which win over every file."""


def git_environment(
    address: Address, credentials: Mapping[str, str] | None = None, *, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment for git on behalf of ``address``.

    Args:
        credentials: for calls that reach the origin; they go nowhere else.
        environ: the process's own when None.

    Raises:
        InputError: the credentials would cross a network unprotected, or are malformed.
    """
    environ = os.environ if environ is None else environ
    credentials = credentials or {}
    if credentials and address.scheme == "http" and not address.loopback:
        raise InputError(
            f"credentials for {address} would cross the network unprotected",
            next_step="register the repository's https address",
        )
    found = {name: value for name, value in environ.items() if not name.startswith("GIT_") or name in _KEPT}
    found.pop("SSH_ASKPASS", None)
    found.setdefault("GIT_CONFIG_GLOBAL", os.devnull)
    found.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15")
    # Empty, and not absent: git would go on to ask other programs.
    found["GIT_ASKPASS"] = ""
    found.update({name: value for name, value in credentials.items() if not name.startswith("GIT_CONFIG_")})
    found.update(_FIXED, GIT_ALLOW_PROTOCOL=address.protocols)
    settings = [*settings_of(credentials), *HARDENED]
    found["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (key, value) in enumerate(settings):
        found[f"GIT_CONFIG_KEY_{number}"] = key
        found[f"GIT_CONFIG_VALUE_{number}"] = value
    return found
