"""Says one message to GitHub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maestro.github.access import GitHubAccess
from maestro.github.check_runs import put_check_run
from maestro.github.comments import put_comment
from maestro.github.errors import RefusedError
from maestro.github.memory import Memory
from maestro.github.statuses import put_deployment_status, put_status
from maestro.outbox import Message
from maestro.server.projects import RegisteredProject


def carry_out(
    access: GitHubAccess, project: RegisteredProject, message: Message, memory: Memory, *, again: bool
) -> Mapping[str, Any]:
    """Does what the message says; doing it twice is the same as doing it once.

    Args:
        again: it may have been done before.

    Returns:
        What GitHub calls the thing.

    Raises:
        MaestroError: it was not done, or nobody knows.
    """
    client, said = access.client(project), message.payload
    # As it is called now, if it was renamed since.
    repository = project.repository
    match message.kind:
        case "github.check_run":
            return put_check_run(client, repository, said["body"], said["annotations"], memory)
        case "github.status":
            return put_status(client, repository, said["sha"], said["body"], again=again)
        case "github.deployment_status":
            return put_deployment_status(client, repository, said["deployment"], said["body"], again=again)
        case "github.comment":
            return put_comment(
                client,
                repository,
                said["number"],
                said["marker"],
                said["text"],
                memory,
                access.author(project),
                create=said["create"],
            )
    raise RefusedError(f"GitHub is not told of '{message.kind}'")
