"""Why GitHub did not do what it was asked, by what the outbox makes of it.

::

    GitHubError
    ├── RefusedError       it never will: 404, 410, 422
    ├── CredentialsError   not with these credentials: 401, 403; a person has to do something
    ├── LimitedError       not so often: 403 or 429 with a limit, primary or secondary
    └── UnavailableError   not now: no answer, 5xx, or no sense in the answer
"""

from __future__ import annotations

from datetime import datetime

from maestro.errors import MaestroError


class GitHubError(MaestroError):
    """GitHub did not do what it was asked.

    Args:
        retry_at: when it says it may be asked again.
        status: of HTTP; None when there was no answer.
    """

    def __init__(
        self,
        what: str,
        *,
        next_step: str | None = None,
        retry_at: datetime | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(what, next_step=next_step)
        self.retry_at = retry_at
        self.status = status


class RefusedError(GitHubError):
    """What was asked is wrong, or its object is not there."""


class CredentialsError(GitHubError):
    """The credentials are wrong, or do not allow it."""


class LimitedError(GitHubError):
    """Too much was asked in too short a time."""


class UnavailableError(GitHubError):
    """GitHub does not answer, or not as itself."""
