"""Finds the evidence a person means."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from maestro.artifacts import RecordStore
from maestro.cli.options import GlobalOptions
from maestro.cli.prepare import Opened, open_project, open_store
from maestro.errors import InputError
from maestro.evidence.desk import EvidenceDesk
from maestro.execution.open_desk import open_desk
from maestro.project import revision_of

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")
_SOURCE = re.compile(r"git(?:Commit|Tree):(?:[0-9a-f]{40}|[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Source:
    """The project a person is in, with its desk."""

    opened: Opened
    desk: EvidenceDesk

    def revision(self, named: str | None) -> str:
        """The revision called so; the one checked out when nothing is named.

        Raises:
            InputError: there is none.
        """
        if named is None:
            return self.opened.current_revision().id
        known = RecordStore(self.desk.store).revisions(self.desk.project)
        if named in known:
            return named
        begins = [one for one in known if one.startswith(named) and len(named) >= 6]
        return begins[0] if len(begins) == 1 else revision_of(self.opened.project, named).id

    def digest(self, named: str) -> str:
        """``<algorithm>:<hex>`` of what evidence is about.

        Raises:
            InputError: it is no digest, or begins those of several.
        """
        if _SOURCE.fullmatch(named):
            return named
        found = _DIGEST.fullmatch(named.lower().removesuffix("…"))
        if found is None:
            raise InputError(f"'{named}' is no digest", next_step="give sha256:… as `maestro evidence show` prints it")
        if len(found[1]) == 64:
            return f"sha256:{found[1]}"
        known = sorted({one for one in self.subjects() if one.startswith(f"sha256:{found[1]}")})
        if len(known) != 1:
            raise InputError(
                f"{len(known) or 'no'} subjects of evidence begin with '{named}'",
                next_step="give the whole digest, as `maestro evidence show --json` prints it",
            )
        return known[0]

    def subjects(self) -> list[str]:
        """``<algorithm>:<hex>`` of everything the project has evidence of."""
        records = RecordStore(self.desk.store)
        project = self.desk.project
        return [
            subject
            for revision in records.revisions(project)
            for entry in self.desk.index.of_revision(project, revision)
            for subject in entry.subjects
        ]


@contextmanager
def evidence_of(options: GlobalOptions) -> Iterator[Source]:
    """The evidence of the project the options name; what was logged is signed at the end."""
    opened = open_project(options)
    store = open_store(opened.project, opened.profile)
    desk = open_desk(opened.project, opened.name, opened.profile, store, os.environ)
    try:
        yield Source(opened, desk)
    finally:
        desk.close()
