"""What a step inherits from the environment Maestro was started in: an allow-list, and never a credential."""

from __future__ import annotations

import re
from collections.abc import Mapping

INHERITED = {
    "PATH": "where tools are found",
    "HOME": "where tools keep their settings and caches",
    "USER": "who runs",
    "LOGNAME": "who runs, POSIX name",
    "SHELL": "the person's shell",
    "LANG": "language and encoding",
    "LC_*": "language and encoding, by category",
    "TZ": "time zone",
    "TMPDIR": "where temporary files go",
    "TERM": "kind of terminal",
    "SSL_CERT_FILE": "certificate authorities, OpenSSL",
    "SSL_CERT_DIR": "certificate authorities, OpenSSL",
    "REQUESTS_CA_BUNDLE": "certificate authorities, Python requests",
    "CURL_CA_BUNDLE": "certificate authorities, curl",
    "NODE_EXTRA_CA_CERTS": "certificate authorities, Node.js",
    "PIP_*": "pip settings, such as the package index",
    "UV_*": "uv settings",
    "NPM_CONFIG_*": "npm settings",
    "npm_config_*": "npm settings, as npm spells them",
    "*_PROXY": "proxies",
    "*_proxy": "proxies, as curl spells them",
    "XDG_*": "folders for settings, caches and data",
    "GOPATH": "Go's workspace",
    "GOCACHE": "Go's build cache",
    "GOPROXY": "Go's module proxy",
    "GOFLAGS": "Go's default flags",
    "CARGO_HOME": "Cargo's folder",
    "RUSTUP_HOME": "rustup's folder",
    "JAVA_HOME": "the Java in use",
    "SSH_AUTH_SOCK": "the SSH agent, which signs without giving keys away",
    "CI": "says that no person is watching",
}
"""Name or glob -> what it is for."""

CREDENTIAL_WORDS = ("TOKEN", "SECRET", "PASSWORD", "KEY")
"""A variable whose name holds one of these, in either case, is never inherited; a step names its secrets instead."""

_EXACT = frozenset(name for name in INHERITED if "*" not in name)
_GLOBS = re.compile("|".join(re.escape(name).replace(r"\*", ".*") for name in INHERITED if "*" in name), re.DOTALL)


def inherits(name: str) -> bool:
    """Whether a step inherits the variable called ``name``."""
    if name in _EXACT:
        return True
    upper = name.upper()
    return _GLOBS.fullmatch(name) is not None and not any(word in upper for word in CREDENTIAL_WORDS)


_USER_INFO = re.compile(r"://[^/?#\s]*@")


def without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """Those variables that lend nothing to a stranger's step: no URL with a user or password in it, no agent."""
    return {
        name: value
        for name, value in environment.items()
        if name != "SSH_AUTH_SOCK" and _USER_INFO.search(value) is None
    }


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of ``environ`` that steps inherit, sorted by name."""
    return {name: environ[name] for name in sorted(environ) if inherits(name)}
