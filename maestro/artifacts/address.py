"""Where a store is, as a person writes it: an absolute folder or a URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from maestro.errors import InputError

_REMOTE = ("s3", "gs", "az")


def folder_of(url: str) -> Path | None:
    """The folder ``url`` names; None when it names a store elsewhere.

    Raises:
        InputError: it is neither an absolute folder nor a URL of a known kind.
    """
    if url.startswith("/"):
        return Path(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _not_an_address(url.partition("/")[0]) from error
    if parts.scheme in _REMOTE and parts.netloc:
        return None
    if parts.scheme != "file" or not parts.path.startswith("/"):
        raise _not_an_address(without_credentials(url))
    if parts.netloc not in ("", "localhost"):
        raise InputError(
            f"the artifact store address {without_credentials(url)!r} names a folder of another machine",
            next_step="write three slashes: file:///folder",
        )
    return Path(unquote(parts.path))


def without_credentials(url: str) -> str:
    """``url`` as it may be shown: without user, password, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1], query="", fragment="").geturl()


def _not_an_address(shown: str) -> InputError:
    return InputError(
        f"the artifact store address {shown!r} is neither an absolute folder nor a URL",
        next_step="give an absolute folder, or a URL that starts with file://, s3://, gs:// or az://",
    )
