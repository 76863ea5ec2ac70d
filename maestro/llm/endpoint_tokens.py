"""Tokens of the OpenAI-compatible endpoint: random, kept as digests only, each bound to whom its calls are charged to.

A token is 256 random bits, so a plain SHA-256 of it is as good as a slow hash: there is nothing to guess.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from maestro.errors import InputError, Location, MaestroError
from maestro.ledger.model import Attribution, Scope

FILE = "llm-tokens"
PREFIX = "maestro"
RUN_PREFIX = "token-"
"""Begins the name of the run that what is asked with a token counts as."""
MOST_AT_ONCE = 16
_WRITTEN = re.compile(rf"{PREFIX}-([0-9a-f]{{12}})-([A-Za-z0-9_-]{{43}})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NOBODY = "0" * 64


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token.

    Args:
        id: part of the token, to find it by; no secret.
        sha256: of the whole token, hexadecimal.
        tenant, project, pull_request: what its calls are charged to.
        by: who made it; reason: of the last change.
        at_once: requests it may have on their way at the same time.
    """

    id: str
    name: str
    sha256: str
    tenant: str
    project: str
    created: datetime
    by: str
    pull_request: int | None = None
    expires: datetime | None = None
    revoked: datetime | None = None
    at_once: int = MOST_AT_ONCE

    @property
    def scope(self) -> Scope:
        """What is charged through this token alone; where its own budget is."""
        return Scope("run", f"{RUN_PREFIX}{self.id}")

    def attribution(self) -> Attribution:
        """Whom its calls are charged to."""
        return Attribution(self.tenant, self.project, self.pull_request, self.scope.name, None, f"token:{self.name}")

    def state(self, now: datetime) -> str:
        """``active``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


class TokenFile:
    """The file tokens are kept in, readable by its owner alone; read again when it has changed.

    Args:
        path: it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, int, int], dict[str, Token]] | None = None

    def all(self) -> list[Token]:
        """Every token, the oldest first.

        Raises:
            InputError: the file is damaged.
        """
        return list(self._tokens().values())

    def there(self) -> bool:
        """Whether there is any token at all, whether it counts or not."""
        return self.path.exists()

    def find(self, written: str, now: datetime) -> Token | None:
        """The token that was shown as ``written``, when it counts; takes as long for one that does not.

        Raises:
            InputError: the file is damaged: then nobody is let in.
        """
        parts = _WRITTEN.fullmatch(written)
        found = self._tokens().get(parts[1]) if parts else None
        same = hmac.compare_digest(_digest(written), found.sha256 if found else _NOBODY)
        return found if found is not None and same and found.state(now) == "active" else None

    def add(self, token: Token) -> None:
        """Keeps a token.

        Raises:
            InputError: its name is none, or another token that counts has it.
        """
        if not _NAME.fullmatch(token.name):
            raise InputError(
                f"'{token.name[:80]}' cannot be the name of a token",
                next_step="use letters, digits, '.', '-' and '_', at most 63 in all",
            )
        with self._changing() as tokens:
            if any(one.name == token.name and one.state(token.created) == "active" for one in tokens.values()):
                raise InputError(
                    f"there is a token '{token.name}' already", next_step="choose another name, or revoke that one"
                )
            tokens[token.id] = token

    def revoke(self, id_or_name: str, now: datetime) -> tuple[Token, bool]:
        """Lets a token stop counting; whether it did until now.

        Raises:
            InputError: there is no such token.
        """
        with self._changing() as tokens:
            named = [one for one in tokens.values() if id_or_name in (one.id, one.name)]
            found = next((one for one in named if one.revoked is None), named[-1] if named else None)
            if found is None:
                raise _unknown(id_or_name, [one.name for one in tokens.values()])
            if found.revoked is not None:
                return found, False
            tokens[found.id] = replace(found, revoked=now)
            return tokens[found.id], True

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Token]]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f"{self.path.name}.lock")
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._read = None
            tokens = dict(self._tokens())
            yield tokens
            self._write(tokens)
        finally:
            os.close(descriptor)

    def _write(self, tokens: dict[str, Token]) -> None:
        text = json.dumps({"version": 1, "tokens": [one.to_json() for one in tokens.values()]}, indent=2)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            raise MaestroError(
                f"tokens cannot be written: {error.strerror}",
                where=Location(str(self.path)),
                next_step="check the disk",
            ) from error
        self._read = None

    def _tokens(self) -> dict[str, Token]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._damaged(error.strerror or "it cannot be read") from None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if self._read is None or self._read[0] != stamp:
            self._read = (stamp, self._parsed())
        return self._read[1]

    def _parsed(self) -> dict[str, Token]:
        known = {one.name for one in fields(Token)}
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            rows = [{name: value for name, value in row.items() if name in known} for row in content["tokens"]]
            return {row["id"]: Token(**{name: _time(name, value) for name, value in row.items()}) for row in rows}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._damaged("it is not what `maestro llm tokens add` writes") from None

    def _damaged(self, why: str) -> InputError:
        return InputError(
            f"the file of tokens cannot be used: {why}",
            where=Location(str(self.path)),
            next_step="restore it, or remove it and make new tokens",
        )


def make_token(
    *,
    name: str,
    tenant: str,
    project: str,
    by: str,
    now: datetime,
    pull_request: int | None = None,
    expires: datetime | None = None,
    at_once: int = MOST_AT_ONCE,
) -> tuple[str, Token]:
    """A new token: the text to be shown once, and what is kept of it."""
    id = secrets.token_hex(6)
    written = f"{PREFIX}-{id}-{secrets.token_urlsafe(32)}"
    kept = Token(id, name, _digest(written), tenant, project, now, by, pull_request, expires, None, at_once)
    return written, kept


def _digest(written: str) -> str:
    return hashlib.sha256(written.encode("utf-8", "replace")).hexdigest()


def _time(name: str, value: Any) -> Any:
    if name not in ("created", "expires", "revoked") or value is None:
        return value
    return datetime.fromisoformat(value).astimezone(UTC)


def _unknown(named: str, known: list[str]) -> InputError:
    from difflib import get_close_matches

    close = get_close_matches(named, known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return InputError(f"there is no token '{named}'", next_step=f"{hint}`maestro llm tokens list` shows them")
