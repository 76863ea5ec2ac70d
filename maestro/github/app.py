"""Credentials at GitHub: a token, or a GitHub App with its installations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from maestro.errors import InputError
from maestro.github.errors import CredentialsError, RefusedError, UnavailableError
from maestro.github.rest import Answer, RestClient

API_VERSION = "2022-11-28"
EARLY = timedelta(minutes=5)
"""A token is renewed so long before it expires."""
_JWT_LIFE = timedelta(minutes=9)  # GitHub takes ten at most.
_BACKDATED = timedelta(minutes=1)  # As GitHub recommends, against clocks that differ.
_MOST_SKEW = timedelta(days=1)

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def api_headers(token: str) -> dict[str, str]:
    """Headers of a request with that token."""
    return {"Authorization": f"Bearer {token}", "X-GitHub-Api-Version": API_VERSION}


@dataclass(frozen=True)
class TokenCredentials:
    """A token, read anew for each request, so that one replaced in its file counts at once.

    Args:
        read: gives the token.
    """

    read: Callable[[], str]

    def headers(self, renewed: bool = False) -> Mapping[str, str]:
        """Authorises with the token."""
        return api_headers(self.read())


class AppCredentials:
    """The App itself: a signed claim to be it (JWT, RS256), for asking about its installations.

    Args:
        app: its id or its client id.
        read_key: gives its private key, PEM.
    """

    def __init__(self, app: str, read_key: Callable[[], str], clock: Clock = _now) -> None:
        self.app = app
        self._read_key = read_key
        self._clock = clock
        self.skew = timedelta()
        """GitHub's clock less this machine's, once it has turned out to matter."""

    def headers(self, renewed: bool = False) -> Mapping[str, str]:
        """Authorises as the App.

        Raises:
            InputError: the private key is none.
        """
        return api_headers(self.jwt())

    def jwt(self) -> str:
        """The claim, good for nine minutes.

        Raises:
            InputError: the private key is none.
        """
        import jwt

        now = self._clock() + self.skew
        claims = {
            "iat": int((now - _BACKDATED).timestamp()),
            "exp": int((now + _JWT_LIFE).timestamp()),
            "iss": self.app,
        }
        key = self._read_key()
        try:
            return jwt.encode(claims, key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            raise InputError(
                "the private key of the GitHub App is no RSA key in PEM",
                next_step="give the file GitHub made for the App, by `github.private_key` in server.yaml",
            ) from None


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    expires: datetime


class Installations:
    """The App's installations, and tokens for them: each kept until shortly before it expires."""

    def __init__(self, base: str, app: AppCredentials, http: httpx.Client, clock: Clock = _now) -> None:
        self._app = app
        self._client = RestClient(base, app, http, clock=clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}
        self._tokens: dict[tuple[str, str], _Token] = {}

    def token(
        self, repository: str, installation: int | None = None, *, read_only: bool = False, renewed: bool = False
    ) -> str:
        """A token for one repository.

        Args:
            repository: ``owner/name``.
            installation: None: asked of GitHub.
            read_only: good for fetching the source and for nothing else.
            renewed: the one given before was not accepted.

        Raises:
            GitHubError: the App is not installed there, or GitHub gives none.
            InputError: the App's private key cannot be used.
        """
        purpose = (repository.lower(), "contents" if read_only else "")
        # One at a time: a second asker waits and finds what the first was given.
        with self._lock:
            known = self._tokens.get(purpose)
            if known is None or renewed or self._clock() + EARLY >= known.expires:
                try:
                    known = self._new(repository, installation, read_only)
                except RefusedError as error:
                    # It may have been installed again, under another number.
                    self._ids.pop(repository.lower(), None)
                    # A person can change that; nothing that waits for a token is lost until then.
                    raise CredentialsError(
                        f"the GitHub App gets no token for {repository}: {error.what}",
                        next_step="install the App in the repository",
                        status=error.status,
                    ) from None
                self._tokens[purpose] = known
            return known.value

    def _new(self, repository: str, installation: int | None, read_only: bool) -> _Token:
        number = installation or self._installation(repository)
        wanted: dict[str, object] = {"repositories": [repository.rpartition("/")[2]]}
        if read_only:
            wanted["permissions"] = {"contents": "read"}
        answer = self._ask("POST", f"/app/installations/{number}/access_tokens", wanted)
        try:
            expires = datetime.fromisoformat(answer.body["expires_at"])
            return _Token(str(answer.body["token"]), expires - self._app.skew)
        except (KeyError, TypeError, ValueError):
            raise UnavailableError(
                "GitHub's answer holds no installation token", next_step="check `github.api` in server.yaml"
            ) from None

    def _installation(self, repository: str) -> int:
        name = repository.lower()
        if name not in self._ids:
            answer = self._ask("GET", f"/repos/{repository}/installation")
            self._ids[name] = int(answer.body["id"])
        return self._ids[name]

    def _ask(self, method: str, path: str, body: object = None) -> Answer:
        try:
            return self._client.request(method, path, json=body)
        except CredentialsError as error:
            if error.status != 401 or not self._corrected():
                raise
            return self._client.request(method, path, json=body)

    def _corrected(self) -> bool:
        """True when this machine's clock differs so much from GitHub's that it may be why; it is allowed for now."""
        skew = self._client.skew
        differs = abs(skew - self._app.skew) > _BACKDATED / 2 and abs(skew) < _MOST_SKEW
        if differs:
            self._app.skew = skew
        return differs


class InstallationCredentials:
    """The App in one repository.

    Args:
        repository: ``owner/name``.
        installation: None: asked of GitHub.
    """

    def __init__(self, installations: Installations, repository: str, installation: int | None = None) -> None:
        self._installations = installations
        self._repository = repository
        self._installation = installation

    def headers(self, renewed: bool = False) -> Mapping[str, str]:
        """Authorises with the installation's token."""
        return api_headers(self._installations.token(self._repository, self._installation, renewed=renewed))
