"""A revision as a subject of evidence."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from maestro.artifacts import Subject
from maestro.project.project import Project
from maestro.project.revision import Revision

_SCP_LIKE = re.compile(r"(?:[^@/\s]+@)?([\w.-]+):(?!//)(.+)")


def source_subject(project: Project, name: str, revision: Revision) -> Subject:
    """The source of ``revision``: by its commit (``gitCommit``), an uncommitted tree by its tree (``gitTree``).

    The address is that of the remote ``origin``, without user and password; of the project's name when there is none.
    """
    digest = {"gitTree": revision.tree} if revision.dirty else {"gitCommit": revision.id}
    remote = project.git.ask("config", "--get", "remote.origin.url") or ""
    return Subject(name=name, digest=digest, uri=f"{address(remote, name)}@{revision.id}")


def address(remote: str, name: str) -> str:
    """``remote`` as the SPDX download location of a git repository; never with credentials."""
    scp_like = _SCP_LIKE.fullmatch(remote)
    if scp_like:
        remote = f"ssh://{scp_like[1]}/{scp_like[2]}"
    parts = urlsplit(remote)
    if parts.scheme in ("http", "https", "ssh", "git") and parts.hostname:
        host = parts.hostname + (f":{parts.port}" if parts.port else "")
        return f"git+{urlunsplit((parts.scheme, host, parts.path, '', ''))}"
    return f"maestro:source/{name}"
