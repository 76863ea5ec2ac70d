"""Gets commits from an origin into a repository, and says why when it cannot; call it under the mirror's lock."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from maestro.mirror.calls import Answer, call_git
from maestro.mirror.errors import GoneError, MirrorError, UnexplainedError, UnreachableError
from maestro.mirror.names import DEFAULT, KEPT, TRACKED, tracking
from maestro.mirror.reasons import Trouble, lock_named_in, trouble_of
from maestro.mirror.repository import Repository

_log = logging.getLogger(__name__)

_FETCH = (
    "fetch",
    "--quiet",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--no-recurse-submodules",
    "--no-show-forced-updates",
    "--update-shallow",
)
_DEFAULT_BRANCH = (f"+HEAD:{TRACKED}HEAD", f"+HEAD:{DEFAULT}")
_EVERYTHING = (f"+refs/heads/*:{TRACKED}*", "+refs/tags/*:refs/tags/*")
_STALE_LOCK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches into one repository.

    Args:
        credentials: read for each call, since tokens expire.
        depth: commits of history; None for all.
        seconds: for one call.
        lock: the lock's descriptor, inherited by git; None for mere questions.
    """

    repository: Repository
    credentials: Callable[[], Mapping[str, str]]
    depth: int | None
    seconds: float
    lock: int | None

    def get(self, sha: str, wanted: Mapping[str, str | None]) -> None:
        """Gets the commit ``sha``, and those of ``wanted`` (commit -> reference it was announced with) if it can.

        With them come the references, the default branch, and the tags on their history: one call, and one more
        when something of that is not there any more.

        Raises:
            GoneError, UnreachableError, MirrorError: ``sha`` is not here now.
        """
        references = {reference for reference in wanted.values() if reference}
        specs = [*map(_kept, {sha, *wanted}), *_tracked(references), *_DEFAULT_BRANCH]
        answer = self._fetch(*specs)
        if answer.ok or self.repository.has(sha):
            return
        trouble = trouble_of(answer)
        if trouble in (Trouble.REFERENCE, Trouble.GONE):
            # A branch deleted meanwhile, an origin without a default branch, a neighbour that is gone.
            answer = self._fetch("--no-tags", _kept(sha))
            if answer.ok or self.repository.has(sha):
                self._follow(references)
                return
            trouble = trouble_of(answer)
        if trouble is Trouble.UNADVERTISED:
            answer = self._fetch(*_EVERYTHING, *_tracked(references), *_announced(references))
            if answer.ok or trouble_of(answer) is Trouble.REFERENCE:
                trouble = Trouble.GONE
        if self._is_here_after_all(sha):
            return
        raise self.error(answer, trouble, f"commit {sha}")

    def everything(self) -> None:
        """Gets every branch and tag there is now, and forgets those that are gone.

        Raises:
            UnreachableError, MirrorError: it cannot.
        """
        answer = self._fetch("--prune", *_EVERYTHING)
        if not answer.ok:
            raise self.error(answer, trouble_of(answer), "its branches")
        self._fetch("--no-tags", *_DEFAULT_BRANCH)

    def listed(self, *arguments: str, what: str) -> str:
        """What ``git ls-remote ARGUMENTS`` prints.

        Raises:
            UnreachableError, MirrorError: the origin does not say.
        """
        answer = self._call("ls-remote", *arguments)
        if not answer.ok:
            raise self.error(answer, trouble_of(answer), what)
        return answer.text()

    def _fetch(self, *arguments: str) -> Answer:
        depth = (f"--depth={self.depth}",) if self.depth else ()
        options = tuple(word for word in arguments if word.startswith("--"))
        specs = tuple(word for word in arguments if not word.startswith("--"))
        for _attempt in range(3):
            answer = self._call(*_FETCH, *depth, *options, "origin", *specs)
            if trouble_of(answer) is not Trouble.LOCKED or answer.ok:
                break
            self._unlock(answer)
        return answer

    def _call(self, *arguments: str) -> Answer:
        credentials = self.credentials()
        return call_git(
            self.repository.folder,
            *arguments,
            environment=self.repository.environment(credentials),
            seconds=self.seconds,
            secrets=credentials,
            keep_open=() if self.lock is None else (self.lock,),
        )

    def _unlock(self, answer: Answer) -> None:
        """Removes a lock that a killed git left: nobody else fetches now, and other programs hold one for a blink."""
        name = lock_named_in(answer.reason)
        file = Path(name or "")
        if not name or not file.is_relative_to(self.repository.folder):
            return
        before = _identity(file)
        time.sleep(_STALE_LOCK_SECONDS)
        if before is not None and _identity(file) == before:
            _log.warning("a fetch of %s was killed and left %s, which is removed", self.repository.folder, file.name)
            file.unlink(missing_ok=True)

    def _follow(self, references: Iterable[str]) -> None:
        """Brings the references up one by one, as far as they still exist; for the sake of what compares with them."""
        for specs in (*((spec,) for spec in _tracked(references)), _DEFAULT_BRANCH):
            answer = self._fetch(*specs)
            if answer.ok:
                continue
            if "cannot lock ref" in answer.reason and self._prune_references():
                self._fetch(*specs)

    def _prune_references(self) -> bool:
        # A branch 'a' that is gone stands in the way of 'a/b'.
        return self._call("remote", "prune", "origin").ok

    def _is_here_after_all(self, sha: str) -> bool:
        """Keeps the commit if it, and all it needs, came another way: with a branch, or for an earlier run."""
        repository = self.repository
        if not repository.ask("rev-list", "--quiet", "--objects", sha, "--not", "--all").ok:
            return False
        return repository.ask("update-ref", KEPT + sha, sha).ok

    def error(self, answer: Answer, trouble: Trouble, what: str) -> MirrorError:
        """The error to raise for ``answer``."""
        origin = self.repository.address
        match trouble:
            case Trouble.GONE:
                return GoneError(
                    f"{what} is not in {origin} any more: the branch was deleted or force-pushed",
                    next_step="start a run of a commit that is there",
                )
            case Trouble.REFUSED if "could not read Username" in answer.reason:
                # Git words HTTP 401 as a question it may not ask.
                return UnreachableError(
                    f"{origin} wants credentials for {what}, and takes none of the project's: "
                    "they are missing, wrong or expired",
                    retryable=False,
                    next_step="store a token that may read the repository",
                )
            case Trouble.REFUSED:
                return UnreachableError(
                    f"{origin} refuses {what}: {answer.reason}",
                    retryable=False,
                    next_step="check the project's address and credentials",
                )
            case Trouble.UNREACHABLE:
                return UnreachableError(
                    f"{origin} cannot be reached for {what}: {answer.reason}",
                    retryable=True,
                    next_step="it is tried again; check the network when it stays so",
                )
            case Trouble.FULL:
                return MirrorError(
                    f"{what} of {origin} cannot be stored: {answer.reason}",
                    next_step=f"make room for {self.repository.folder}",
                )
        return UnexplainedError(
            f"{what} of {origin} cannot be fetched: {answer.reason}",
            next_step="read git's reason; when it names the origin's objects, its owner has to mend them",
        )


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _kept(sha: str) -> str:
    return f"+{sha}:{KEPT}{sha}"


def _tracked(references: Iterable[str]) -> list[str]:
    return sorted(f"+{name}:{here}" for name in references if (here := tracking(name)))


def _announced(references: Iterable[str]) -> list[str]:
    """References that are kept nowhere else, for origins that give only what they announce."""
    return sorted(f"+{name}:refs/announced/{name[5:]}" for name in references if tracking(name) is None)
