"""The address of an origin: what kind it is, which host it names, and what a submodule's address means beside it."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from maestro.errors import InputError

_SCP_LIKE = re.compile(r"(?:([\w.-]+)@)?([\w][\w.-]*|\[[0-9A-Fa-f:]+\]):(?!//|:|-)(.+)")
_SCHEMES = ("https", "http", "ssh", "file")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a repository is fetched from; never with a password.

    Args:
        url: as git takes it.
        scheme: ``https``, ``http``, ``ssh`` or ``file``.
        authority: host and port, lower case; empty for ``file``.
    """

    url: str
    scheme: str
    authority: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address ``url`` writes: a URL, ``user@host:path`` (ssh), or an absolute path.

        Raises:
            InputError: it is none of these, or holds a password or a token.
        """
        if not url or url.startswith("-") or _CONTROL.search(url):
            raise _not_an_address(url)
        if url.startswith("/"):
            return cls(url, "file", "")
        if "://" not in url:
            match = _SCP_LIKE.fullmatch(url)
            if match is None:
                raise _not_an_address(url)
            return cls(url, "ssh", match[2].lower())
        return cls._of_url(url)

    @classmethod
    def _of_url(cls, url: str) -> Address:
        try:
            parts = urlsplit(url)
            _ = parts.port  # A port that is no number raises.
        except ValueError as error:
            raise _not_an_address(url) from error
        scheme = parts.scheme
        if scheme not in _SCHEMES:
            raise _not_an_address(url)
        if scheme == "file":
            if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
                raise _not_an_address(url)
            return cls(url, "file", "")
        if not parts.hostname or parts.hostname.startswith("-") or len(parts.path) < 2:
            raise _not_an_address(url)
        if parts.password is not None or (parts.username is not None and scheme != "ssh") or parts.query:
            raise InputError(
                f"the address {_shown(url)} holds a user, a password or a token",
                next_step="leave it out of the address, and name where it is kept with the project's credentials",
            )
        return cls(url, scheme, parts.netloc.rpartition("@")[2].lower())

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine, so that nothing sent to it crosses a network."""
        host = urlsplit(self.url).hostname or "" if "://" in self.url else self.authority
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def protocols(self) -> str:
        """What git may speak for this repository (``GIT_ALLOW_PROTOCOL``): never a local path for a remote one."""
        more = {"file": ":file", "http": ":http"}.get(self.scheme, "")
        return f"https:ssh{more}"

    def same_host(self, other: Address) -> bool:
        """Whether credentials for this address may go to ``other``: the same scheme, host and port."""
        return self.scheme != "file" and (self.scheme, self.authority) == (other.scheme, other.authority)

    def beside(self, url: str) -> Address:
        """The address a submodule's ``url`` means: itself, or relative to this one (``../library.git``).

        Raises:
            InputError: it is no address, climbs above the host, or is a local path beside a remote repository.
        """
        found = Address.parse(self._joined(url) if url.startswith(("./", "../")) else url)
        if found.scheme == "file" and self.scheme != "file":
            raise InputError(
                f"{_shown(url)} is a path on the server, but the repository comes from {self.url}",
                next_step="give the submodule a URL, or one relative to its repository",
            )
        if found.scheme == "http" and self.scheme != "http":
            raise InputError(f"{_shown(url)} would be fetched unprotected", next_step="use https://")
        return found

    def _joined(self, relative: str) -> str:
        base = self.url.rstrip("/")
        if "://" in base:
            head, _, path = base.partition("://")[2].partition("/")
            prefix = f"{base.partition('://')[0]}://{head}/"
        elif self.scheme == "ssh":
            head, _, path = base.partition(":")
            prefix = f"{head}:"
        else:
            prefix, path = "/", base.lstrip("/")
        joined = posixpath.normpath(posixpath.join(path, relative))
        if joined in (".", "..") or joined.startswith("../"):
            raise InputError(f"{_shown(relative)} leads above {self.url}", next_step="correct the submodule's URL")
        return prefix + joined

    @property
    def path(self) -> str:
        """The folder a ``file`` address names."""
        return unquote(urlsplit(self.url).path) if "://" in self.url else self.url

    def __str__(self) -> str:
        return self.url


def _shown(url: str) -> str:
    """``url`` in a message: without what may be a secret, and on one line."""
    clean = re.sub(r"://[^/@]*@", "://***@", _CONTROL.sub("?", url)).partition("?")[0]
    return repr(clean[:200])


def _not_an_address(url: str) -> InputError:
    return InputError(
        f"{_shown(url)} is not the address of a repository",
        next_step="give https://host/owner/name.git, ssh://host/path, user@host:path or an absolute path",
    )
