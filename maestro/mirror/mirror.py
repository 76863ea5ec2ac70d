"""A project's repository on a server: bare, fetched one commit at a time, and asked about files and history."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from maestro.errors import InputError
from maestro.mirror import history
from maestro.mirror.address import Address
from maestro.mirror.credentials import no_credentials
from maestro.mirror.errors import GoneError, MirrorError, NoBaseError, UnexplainedError
from maestro.mirror.fetching import Fetcher
from maestro.mirror.locking import held
from maestro.mirror.names import KEPT, checked_commit, full_reference, is_null
from maestro.mirror.repository import Repository
from maestro.project.git import Git

SAFETY_WINDOW = timedelta(hours=1)
"""A commit asked for less long ago is never pruned: a run of it may be about to start."""
_AT_ONCE = 50
_QUESTION_SECONDS = 60.0


class Mirror:
    """A mirror of one repository; safe to use from many threads and processes of a machine at once.

    Args:
        folder: where it lies, or will; beside it lie its lock and, after damage, what was damaged.
        url: its origin: https, ssh, or a path on this machine; without credentials.
        environment: variables with the credentials (``token_environment``), asked for before each call.
        depth: how much history is fetched; None for all.
        seconds: how long one fetch may take.

    Raises:
        InputError: the address cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        environment: Callable[[], Mapping[str, str]] = no_credentials,
        *,
        depth: int | None = None,
        seconds: float = 600.0,
    ) -> None:
        if depth is not None and depth < 1:
            raise InputError(f"a depth of {depth} leaves no commit", next_step="give 1 or more, or none for all")
        self.address = Address.parse(url)
        self.folder = folder.absolute()
        self.credentials = environment
        self.depth = depth
        self.seconds = seconds
        self.repository = Repository(self.folder, self.address)
        self._turn = threading.Lock()
        self._wanted: dict[str, str | None] = {}

    def __repr__(self) -> str:
        return f"Mirror({str(self.folder)!r}, {self.address.url!r})"

    @property
    def waiting(self) -> int:
        """How many commits callers in this process wait for now."""
        return len(self._wanted)

    @property
    def git(self) -> Git:
        """Git in the mirror, for questions; no credentials."""
        return Git(self.folder, {"GIT_DIR": str(self.folder), "GIT_NO_REPLACE_OBJECTS": "1"})

    def ensure(self, sha: str, ref: str | None = None) -> None:
        """Sees to it that the commit is here, and stays until it is pruned; one file is looked at when it is.

        Callers that wait for each other's fetch are served by one, when that brings what they want.

        Args:
            sha: a whole commit id (an annotated tag's own id will do).
            ref: the branch or reference it was announced with, brought up to date along the way.

        Raises:
            InputError: no commit id or reference.
            GoneError: the origin does not have it any more.
            UnreachableError: the origin does not answer or refuses.
            MirrorError: it cannot be stored.
        """
        checked_commit(sha)
        reference = None if ref is None else full_reference(ref)
        if self.repository.has(sha):
            return
        self._wanted[sha] = reference
        try:
            with self._alone() as fetcher:
                if not self.repository.has(sha):
                    others = dict(list(self._wanted.copy().items())[-_AT_ONCE:])
                    self._get(fetcher, sha, {sha: reference, **others})
        finally:
            self._wanted.pop(sha, None)

    def _get(self, fetcher: Fetcher, sha: str, wanted: Mapping[str, str | None]) -> None:
        self.repository.make(sha256=len(sha) == 64)
        try:
            fetcher.get(sha, {one: ref for one, ref in wanted.items() if not self.repository.has(one)})
        except UnexplainedError as error:
            if self.repository.is_sound():
                raise
            self._make_anew(fetcher, error.what)
            fetcher.get(sha, wanted)

    def _make_anew(self, fetcher: Fetcher, reason: str) -> None:
        kept = self.repository.kept()
        self.repository.set_aside(reason)
        self.repository.make(sha256=any(len(sha) == 64 for sha in kept))
        for sha in kept:
            try:
                # Checkouts of these may be in use.
                fetcher.get(sha, {})
            except MirrorError:
                continue

    def mend(self, sha: str, reason: str) -> None:
        """Makes the mirror anew when it is damaged, and fetches ``sha`` again.

        Raises:
            MirrorError: it is sound, so ``reason`` has another cause; else as ``ensure``.
        """
        with self._alone() as fetcher:
            if self.repository.exists() and self.repository.is_sound():
                raise MirrorError(f"commit {sha} of {self.address} cannot be checked out: {reason}")
            if self.repository.exists():
                self._make_anew(fetcher, reason)
            else:
                self.repository.make(sha256=len(sha) == 64)
            fetcher.get(sha, {})

    def refresh(self) -> None:
        """Brings every branch and tag up to date, and forgets deleted ones; for quiet times, not on a run's way.

        Raises:
            UnreachableError, MirrorError: it cannot.
        """
        with self._alone() as fetcher:
            self.repository.make()
            fetcher.everything()

    def head(self, branch: str) -> str:
        """The commit the branch is at now, at the origin; it is not fetched.

        Raises:
            InputError: no branch name.
            GoneError: the origin has no such branch.
            UnreachableError, MirrorError: the origin does not say.
        """
        name = full_reference(branch)
        listed = self._asking().listed("origin", name, what=f"branch '{branch}'")
        for line in listed.splitlines():
            commit, _, found = line.partition("\t")
            if found == name:
                return commit
        raise GoneError(
            f"{self.address} has no branch '{branch}'", next_step="correct the name, or remove it from the project"
        )

    def default_branch(self) -> str:
        """The branch the origin's HEAD names.

        Raises:
            GoneError: it names none, as in an empty repository.
            UnreachableError, MirrorError: the origin does not say.
        """
        listed = self._asking().listed("--symref", "origin", "HEAD", what="its default branch")
        for line in listed.splitlines():
            if line.startswith("ref: refs/heads/") and line.endswith("\tHEAD"):
                return line.removeprefix("ref: refs/heads/").removesuffix("\tHEAD")
        raise GoneError(f"{self.address} has no default branch", next_step="name one with the project")

    def read(self, sha: str, path: str) -> bytes | None:
        """The file ``path`` (relative, POSIX) of a commit that is here; None when it has no such file.

        Raises:
            InputError: it is not a path, is a folder or leads out of the repository, or is larger than 10 MB.
            MirrorError: the commit is not here.
        """
        return history.read(self.repository, checked_commit(sha), path)

    def changed(self, base: str | None, sha: str, *, since_fork: bool = False) -> list[str]:
        """Paths that differ between ``base`` and ``sha``, sorted; ``base`` is fetched when it is not here.

        Args:
            since_fork: compare with where ``sha`` left ``base``, as a pull request does.

        Raises:
            NoBaseError: there is no such base, or no common commit: everything counts as changed.
            UnreachableError: the origin does not answer.
            MirrorError: ``sha`` is not here.
        """
        if not base or is_null(base):
            raise NoBaseError(f"there is nothing to compare commit {sha} with")
        checked_commit(base)
        checked_commit(sha)
        found = history.changed(self.repository, base, sha, since_fork=since_fork)
        if found is None:
            try:
                self.ensure(base)
            except GoneError as error:
                raise NoBaseError(f"there is nothing to compare commit {sha} with: {error.what}") from error
            found = history.changed(self.repository, base, sha, since_fork=since_fork)
        if found is None:
            history.require(self.repository, sha)
            raise NoBaseError(f"commits {base} and {sha} have no common one here")
        return found

    def merge_base(self, one: str, other: str) -> str | None:
        """The newest commit both come from, as far as history is here; None when there is none."""
        return history.merge_base(self.repository, checked_commit(one), checked_commit(other))

    def peel(self, sha: str) -> str:
        """The commit behind ``sha``, which may be an annotated tag's own id.

        Raises:
            MirrorError: it is not here, or is no commit.
        """
        return history.require(self.repository, checked_commit(sha))

    def published(self, sha: str) -> bool:
        """Whether the commit is on a branch or tag the origin had when they were last fetched, as far as is known here.

        A commit that is here need not be: origins hand out those of forks as well.

        Raises:
            InputError: no commit id.
        """
        return history.published(self.repository, checked_commit(sha))

    def prune(self, keep: set[str]) -> int:
        """Lets go of every commit that is not in ``keep`` and was not asked for within the hour, and tidies up.

        Returns:
            How many were let go. Their objects stay two more weeks (git's own grace period).

        Raises:
            MirrorError: git cannot.
        """
        with self._alone():
            if not self.repository.exists():
                return 0
            limit = time.time() - SAFETY_WINDOW.total_seconds()
            dropped = [
                sha
                for sha in self.repository.kept()
                if sha not in keep and self.repository.kept_file(sha).stat().st_mtime < limit
            ]
            self.repository.delete_references([KEPT + sha for sha in dropped])
            self.repository.ask(
                "-c", "gc.auto=5000", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet", seconds=3600
            )
            return len(dropped)

    def _asking(self) -> Fetcher:
        """For what needs no turn: a fetch may be under way."""
        if not self.repository.exists():
            with self._alone():
                self.repository.make()
        return Fetcher(self.repository, self.credentials, self.depth, min(self.seconds, _QUESTION_SECONDS), None)

    @contextmanager
    def _alone(self) -> Iterator[Fetcher]:
        # Threads wait for each other without looking, processes by looking at the file.
        with self._turn, held(self.folder.with_name(f"{self.folder.name}.lock"), seconds=2 * self.seconds) as lock:
            yield Fetcher(self.repository, self.credentials, self.depth, self.seconds, lock)
